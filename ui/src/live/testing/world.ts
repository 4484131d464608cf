/**
 * A made-up cluster and its flows, for tests and for looking at the page without a server. The same seed makes the same flows.
 */

import type { LiveEndpoint, LiveName, LivePolicy, LiveState } from "../../api";
import type { WireEnd, WireFlow, WireRule } from "../model/wire";

export interface Size {
  readonly namespaces: number;
  readonly workloads: number;
  readonly names: number;
}

/** 200 nodes. */
export const LARGE: Size = { namespaces: 12, workloads: 98, names: 102 };
export const SMALL: Size = { namespaces: 2, workloads: 7, names: 8 };

interface Workload {
  readonly namespace: string;
  readonly name: string;
  readonly pod: string;
  readonly address: string;
  readonly identity: number;
}

interface Route {
  readonly from: Workload;
  /** A name where it is a text. */
  readonly to: Workload | string;
  /** Instead of `to`: an address that nobody resolved, the node, a Service without a backend. */
  readonly odd?: "address" | "host" | "service";
  readonly port: number;
  readonly protocol: "TCP" | "UDP";
  readonly verdict: "FORWARDED" | "DROPPED" | "AUDIT";
  readonly weight: number;
}

/** mulberry32: small, quick and the same everywhere. */
export function random(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

const NAMESPACES = [
  "default",
  "shop",
  "payments",
  "search",
  "media",
  "auth",
  "build",
  "data",
  "mail",
  "metrics",
  "edge",
  "jobs",
  "labs",
  "ops",
];
const WORKLOADS = [
  "frontend",
  "backend",
  "api",
  "worker",
  "cache",
  "queue",
  "db",
  "scheduler",
  "gateway",
  "indexer",
  "mailer",
  "exporter",
];
const DOMAINS = [
  "kubernetes.io",
  "example.com",
  "cilium.io",
  "example.org",
  "debian.org",
  "example.net",
  "python.org",
  "npmjs.org",
  "example.co.uk",
  "pki.example",
  "storage.example",
  "telemetry.example",
  "paychannel.example",
  "maps.example",
  "mirror.example",
];
const HOSTS = ["", "www.", "api.", "cdn.", "files.", "eu-1.", "eu-2.", "us-1.", "auth.", "s3."];

export class World {
  readonly workloads: readonly Workload[];
  readonly names: readonly string[];
  private readonly routes: readonly Route[];
  private readonly weights: number;
  private readonly dns: Workload;
  private readonly draw: () => number;
  private count = 0;

  constructor(
    readonly size: Size = LARGE,
    seed = 1,
  ) {
    this.draw = random(seed);
    this.dns = workload("kube-system", "cluster-dns", 1);
    const namespaces = NAMESPACES.slice(0, size.namespaces);
    this.workloads = Array.from({ length: size.workloads }, (_, index) => {
      const namespace = namespaces[index % namespaces.length] ?? "default";
      const round = Math.floor(index / namespaces.length);
      const name =
        (WORKLOADS[round % WORKLOADS.length] ?? "w") + (round < WORKLOADS.length ? "" : `-${round}`);
      return workload(namespace, name, index + 2);
    });
    this.names = Array.from({ length: size.names }, (_, index) => {
      const domain = DOMAINS[index % DOMAINS.length] ?? "example.com";
      const round = Math.floor(index / DOMAINS.length);
      return (HOSTS[round % HOSTS.length] ?? "") + domain;
    });
    this.routes = this.makeRoutes();
    this.weights = this.routes.reduce((sum, route) => sum + route.weight, 0);
  }

  private makeRoutes(): Route[] {
    const routes: Route[] = [];
    const add = (
      from: Workload,
      to: Workload | string,
      port: number,
      protocol: "TCP" | "UDP" = "TCP",
    ): void => {
      const luck = this.draw();
      const verdict = luck < 0.08 ? "DROPPED" : luck < 0.13 ? "AUDIT" : "FORWARDED";
      routes.push({ from, to, port, protocol, verdict, weight: 0.2 + this.draw() ** 3 * 6 });
    };
    for (const from of this.workloads) {
      routes.push({ from, to: this.dns, port: 53, protocol: "UDP", verdict: "FORWARDED", weight: 0.6 });
      const same = this.workloads.filter((other) => other.namespace === from.namespace && other !== from);
      const next = same[Math.floor(this.draw() * same.length)];
      if (next) add(from, next, next.name === "db" ? 5432 : next.name === "cache" ? 6379 : 8080);
      if (this.draw() < 0.25) {
        const far = this.workloads[Math.floor(this.draw() * this.workloads.length)];
        if (far && far !== from) add(from, far, 8443);
      }
    }
    this.names.forEach((name, index) => {
      const from = this.workloads[(index * 7) % this.workloads.length];
      if (from) add(from, name, index % 9 === 4 ? 80 : 443);
      const second = this.workloads[Math.floor(this.draw() * this.workloads.length)];
      if (second && this.draw() < 0.3) add(second, name, 443);
    });
    this.workloads.slice(0, Math.ceil(this.workloads.length / 8)).forEach((from, index) => {
      const odd = (["address", "host", "service"] as const)[index % 3] ?? "address";
      const verdict = odd === "host" ? "FORWARDED" : "DROPPED";
      routes.push({
        from,
        to: this.dns,
        odd,
        port: odd === "host" ? 8080 : 443,
        protocol: "TCP",
        verdict,
        weight: 0.2,
      });
    });
    return routes;
  }

  /** One flow at `time` (milliseconds). */
  flow(time: number): WireFlow {
    let at = this.draw() * this.weights;
    const found = this.routes.find((each) => {
      at -= each.weight;
      return at < 0;
    });
    const route = found ?? (this.routes[0] as Route);
    return this.flowOf(route, time);
  }

  line(time: number): string {
    const flow = this.flow(time);
    return JSON.stringify({ flow, node_name: "node-1", time: flow.time });
  }

  /** `count` lines, `perSecond` a second, from `start` on. */
  lines(count: number, start: number, perSecond = 500): string[] {
    return Array.from({ length: count }, (_, index) => this.line(start + (index * 1000) / perSecond));
  }

  private flowOf(route: Route, time: number): WireFlow {
    const { from, to, port, protocol, verdict } = route;
    this.count++;
    const uuid = `00000000-0000-4000-8000-${this.count.toString(16).padStart(12, "0")}`;
    const name = typeof to === "string" ? to : "";
    const address = typeof to === "string" ? `203.0.113.${1 + (this.names.indexOf(to) % 254)}` : to.address;
    const rules = verdict === "DROPPED" ? [] : [ruleOf(from, verdict)];
    const asks = typeof to !== "string" && to === this.dns;
    const base: WireFlow = {
      time: new Date(time).toISOString(),
      uuid,
      verdict,
      IP: { source: from.address, destination: address, ipVersion: "IPv4" },
      l4: {
        [protocol]: {
          source_port: 32768 + (this.count % 28000),
          destination_port: port,
          ...(protocol === "TCP" ? { flags: { SYN: true } } : {}),
        },
      },
      source: endOf(from),
      destination: typeof to === "string" ? { identity: 9, labels: ["reserved:world-ipv4"] } : endOf(to),
      ...(name ? { destination_names: [name] } : {}),
      event_type: { type: 5 },
      traffic_direction: "EGRESS",
      ...(verdict === "DROPPED"
        ? { drop_reason_desc: "POLICY_DENIED" }
        : { policy_match_type: name ? 1 : 2 }),
      is_reply: false,
      Summary: protocol === "TCP" ? "TCP Flags: SYN" : "UDP",
      node_name: "node-1",
      namewall: { times: 1, rules, selected_by: verdict === "DROPPED" ? [ruleOf(from, verdict)] : [] },
    };
    if (route.odd) return oddFlow(route, base);
    if (!asks) return base;
    const query = this.names[Math.floor(this.draw() * this.names.length)] ?? "example.com";
    return {
      ...base,
      IP: { source: address, destination: from.address, ipVersion: "IPv4" },
      l4: { UDP: { source_port: 53, destination_port: 40000 + (this.count % 20000) } },
      source: endOf(this.dns),
      destination: endOf(from),
      l7: {
        type: "RESPONSE",
        dns: {
          query: `${query}.`,
          ips: [`203.0.113.${1 + (this.names.indexOf(query) % 254)}`],
          ttl: 60,
          qtypes: ["A"],
          observation_source: "kernel",
        },
      },
      event_type: { type: 129 },
      is_reply: true,
      Summary: `DNS Answer "203.0.113.7" TTL: 60 (Kernel ${query}. A)`,
    };
  }

  /** `GET /api/live` of this world. */
  live(): LiveState {
    const endpoints: LiveEndpoint[] = [this.dns, ...this.workloads].map((each) => ({
      namespace: each.namespace,
      name: each.pod,
      workload: { kind: "Deployment", name: each.name },
      labels: { app: each.name, "io.kubernetes.pod.namespace": each.namespace },
      addresses: [each.address],
      identity: each.identity,
      ingressEnforced: each.identity % 3 === 0,
      egressEnforced: true,
    }));
    const names: LiveName[] = this.routes.flatMap(({ from, to }, index) =>
      typeof to === "string"
        ? [
            {
              namespace: from.namespace,
              pod: from.pod,
              name: to,
              addresses: [`203.0.113.${1 + (this.names.indexOf(to) % 254)}`],
              secondsLeft: 5 + ((index * 37) % 300),
            },
          ]
        : [],
    );
    const policies: LivePolicy[] = this.workloads.map((each) => ({
      kind: "CiliumNetworkPolicy",
      namespace: each.namespace,
      name: `${each.name}-egress`,
      text: policyText(each),
      audit: false,
    }));
    const namespaces = [...new Set(endpoints.map((each) => each.namespace))];
    return {
      server: "https://127.0.0.1:7443",
      endpoints,
      names,
      services: [
        {
          namespace: "kube-system",
          name: "kube-dns",
          addresses: ["10.96.0.10"],
          ports: ["53/UDP", "53/TCP"],
        },
      ],
      namespaces,
      policies,
    };
  }
}

/** The flow with its other end replaced; the node speaks to the workload, so that there is ingress too. */
function oddFlow({ from, odd, port }: Route, flow: WireFlow): WireFlow {
  if (odd === "host") {
    return {
      ...flow,
      IP: { source: "10.244.0.1", destination: from.address, ipVersion: "IPv4" },
      source: { identity: 1, labels: ["reserved:host"] },
      destination: endOf(from),
      traffic_direction: "INGRESS",
    };
  }
  const address = odd === "service" ? "10.96.0.77" : `198.51.100.${1 + (from.identity % 200)}`;
  const ports = { ...flow.l4?.["TCP"], destination_port: port };
  return {
    ...flow,
    IP: { source: from.address, destination: address, ipVersion: "IPv4" },
    l4: { TCP: ports },
    destination: { identity: 9, labels: ["reserved:world-ipv4"] },
    ...(odd === "service"
      ? {
          destination_service: { name: "legacy", namespace: from.namespace },
          drop_reason_desc: "SERVICE_BACKEND_NOT_FOUND",
        }
      : {}),
  };
}

function workload(namespace: string, name: string, index: number): Workload {
  const suffix = ((index * 2654435761) % 60466176).toString(36).padStart(5, "x").slice(0, 5);
  return {
    namespace,
    name,
    pod: `${name}-7d9f8c6b54-${suffix}`,
    address: `10.244.${index >> 8}.${index & 255}`,
    identity: 256 + index,
  };
}

function endOf(each: Workload): WireEnd {
  return {
    ID: each.identity,
    identity: each.identity,
    namespace: each.namespace,
    labels: [`k8s:app=${each.name}`, `k8s:io.kubernetes.pod.namespace=${each.namespace}`],
    pod_name: each.pod,
    workloads: [{ name: each.name, kind: "Deployment" }],
  };
}

function ruleOf(from: Workload, verdict: string): WireRule {
  const found = { kind: "CiliumNetworkPolicy", namespace: from.namespace, name: `${from.name}-egress` };
  return verdict === "DROPPED" ? found : { ...found, rule: "spec.egress[0]" };
}

function policyText(each: Workload): string {
  return `apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata:
  name: ${each.name}-egress
  namespace: ${each.namespace}
spec:
  endpointSelector:
    matchLabels:
      app: ${each.name}
  egress:
    - toEndpoints:
        - matchLabels:
            k8s:io.kubernetes.pod.namespace: kube-system
            k8s:k8s-app: kube-dns
      toPorts:
        - ports:
            - port: "53"
              protocol: ANY
          rules:
            dns:
              - matchPattern: "*"
    - toFQDNs:
        - matchName: kubernetes.io
`;
}
