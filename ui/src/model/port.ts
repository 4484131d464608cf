/**
 * Ports of a rule, and how people write them: `443/TCP`, `8000-8080/UDP`, `dns/ANY`, `icmp/8`, `icmpv6/128`.
 *
 * A drawn port keeps what the text had (a number or a quoted one, a protocol or none).
 */
import { isObject, type Json, type JsonObject } from "./value";

export interface Port {
  port: string | number | null;
  endPort: number | null;
  protocol: string | null;
}

export interface Icmp {
  family: string | null;
  type: string | number;
}

const PROTOCOLS = ["TCP", "UDP", "SCTP", "ANY", "VRRP", "IGMP"];

export function portOf(value: unknown): Port | null {
  if (!isObject(value)) return null;
  const { port, endPort, protocol, ...more } = value;
  if (Object.keys(more).length > 0) return null;
  if (port !== undefined && typeof port !== "string" && typeof port !== "number") return null;
  if (endPort !== undefined && typeof endPort !== "number") return null;
  if (protocol !== undefined && typeof protocol !== "string") return null;
  return { port: port ?? null, endPort: endPort ?? null, protocol: protocol ?? null };
}

export function portValue(port: Port): JsonObject {
  const value: JsonObject = {};
  if (port.port !== null) value.port = port.port;
  if (port.endPort !== null) value.endPort = port.endPort;
  if (port.protocol !== null) value.protocol = port.protocol;
  return value;
}

export function icmpOf(value: unknown): Icmp | null {
  if (!isObject(value)) return null;
  const { family, type, ...more } = value;
  if (Object.keys(more).length > 0) return null;
  if (family !== undefined && typeof family !== "string") return null;
  if (typeof type !== "string" && typeof type !== "number") return null;
  return { family: family ?? null, type };
}

export function icmpValue(icmp: Icmp): Json {
  return icmp.family === null ? { type: icmp.type } : { family: icmp.family, type: icmp.type };
}

/** `fallback` is the protocol that a port without one has: ANY in Cilium's kinds, TCP in NetworkPolicy. */
export function portText(port: Port, fallback: string): string {
  const number = port.port === null || port.port === "" ? "all" : String(port.port);
  const range = port.endPort === null ? number : `${number}-${port.endPort}`;
  return `${range}/${port.protocol ?? fallback}`;
}

export function icmpText(icmp: Icmp): string {
  return `${icmp.family === "IPv6" ? "icmpv6" : "icmp"}/${icmp.type}`;
}

/** Ports and ICMP types as they were typed, or a sentence that says what is wrong. */
export function readPorts(text: string, kubernetes: boolean): { ports: Port[]; icmps: Icmp[] } | string {
  const ports: Port[] = [];
  const icmps: Icmp[] = [];
  for (const part of text.split(/[\s,]+/).filter((one) => one !== "")) {
    if (/^icmp(v[46])?$/i.test(part))
      return `\`${part}\` needs a type, as \`icmp/8\` (echo) or \`icmpv6/128\``;
    const icmp = /^icmp(v4|v6)?\/(\w+)$/i.exec(part);
    if (icmp) {
      if (kubernetes) return `\`${part}\`: a NetworkPolicy has no ICMP`;
      const type = icmp[2] ?? "";
      icmps.push({
        family: icmp[1]?.toLowerCase() === "v6" ? "IPv6" : "IPv4",
        type: /^\d+$/.test(type) ? Number(type) : type,
      });
      continue;
    }
    // A range has numbers at both ends: `web-2` is a name.
    const ranged = /^(\d+)-(\d+)(?:\/(\w+))?$/.exec(part);
    const single = /^([A-Za-z0-9](?:[\w-]*[A-Za-z0-9])?)(?:\/(\w+))?$/.exec(part);
    const [first = "", last, said] = ranged?.slice(1) ?? [single?.[1], undefined, single?.[2]];
    if (first === "")
      return `\`${part}\` is no port: write \`443/TCP\`, \`8000-8080/UDP\`, \`dns/ANY\` or \`icmp/8\``;
    const protocol = (said ?? "TCP").toUpperCase();
    if (!PROTOCOLS.includes(protocol)) return `\`${said}\` is no protocol: use TCP, UDP, SCTP or ANY`;
    if (kubernetes && protocol === "ANY")
      return "a NetworkPolicy has no protocol `ANY`: write one port for each";
    const all = /^all$/i.test(first);
    if (all && !kubernetes && protocol === "ANY") return "`all/ANY` is no restriction: leave the ports empty";
    const numeric = /^\d+$/.test(first);
    if (numeric && Number(first) > 65535) return `port \`${first}\` is more than 65535`;
    if (last !== undefined && Number(last) > 65535) return `port \`${last}\` is more than 65535`;
    if (last !== undefined && numeric && Number(last) < Number(first))
      return `\`${part}\` ends before it begins`;
    const port = all ? (kubernetes ? null : "0") : kubernetes && numeric ? Number(first) : first;
    ports.push({ port, endPort: last === undefined ? null : Number(last), protocol });
  }
  if (ports.length > 0 && icmps.length > 0) return "a rule has ports or ICMP types: make one rule for each";
  return { ports, icmps };
}
