/**
 * A line of the flow stream as a typed row.
 *
 * `source` is who began and `destination` who was spoken to, also for answers: Hubble's `is_reply` flows are turned around, as
 * `namewall observe` draws them. A row keeps the line it came from (`text`) for the details panel and for `POST /api/allow`.
 */

import type { Parties, Party } from "./party";
import { partyOf } from "./party";
import type { WireFlow, WireLost } from "./wire";

export type Verdict = "forwarded" | "audit" | "dropped";
export const VERDICTS: readonly Verdict[] = ["forwarded", "audit", "dropped"];
export type Direction = "ingress" | "egress" | "";

export interface Row {
  /** In the order of arrival; never used twice. */
  readonly seq: number;
  readonly uuid: string;
  /** Milliseconds since the epoch. */
  readonly time: number;
  readonly source: Party;
  readonly destination: Party;
  readonly sourceAddress: string;
  readonly destinationAddress: string;
  /** Of the destination; 0 where the protocol has none. */
  readonly port: number;
  readonly protocol: string;
  readonly verdict: Verdict;
  readonly direction: Direction;
  readonly reason: string;
  readonly kind: string;
  /** The name that was asked for, else empty. */
  readonly query: string;
  readonly summary: string;
  /** How many flows this one stands for. */
  readonly times: number;
  /** `namespace/name` of the policies that decided, or that turned default deny on. */
  readonly policies: readonly string[];
  readonly text: string;
}

export interface Lost {
  readonly source: string;
  readonly count: number;
}

export type Parsed = { readonly row: Row } | { readonly lost: Lost } | null;

const MATCHES = ["none", "L3-Only", "L3-L4", "L4-Only", "all", "L3-Proto", "Proto-Only"];
const POLICY_VERDICT = 5;

/** Null for what is no line of the stream. */
export function parseLine(text: string, seq: number, parties: Parties): Parsed {
  let line: { flow?: WireFlow; lost_events?: WireLost };
  try {
    line = JSON.parse(text) as typeof line;
  } catch {
    return null;
  }
  if (line?.lost_events) {
    const count = Number(line.lost_events.num_events_lost);
    return { lost: { source: String(line.lost_events.source), count: Number.isFinite(count) ? count : 0 } };
  }
  return line?.flow?.uuid ? { row: rowOf(line.flow, text, seq, parties) } : null;
}

export function rowOf(flow: WireFlow, text: string, seq: number, parties: Parties): Row {
  const sent = flow.IP?.source ?? "";
  const received = flow.IP?.destination ?? "";
  const source = parties.shared(partyOf(flow.source, flow.source_service, flow.source_names, sent));
  const destination = parties.shared(
    partyOf(flow.destination, flow.destination_service, flow.destination_names, received),
  );
  const [protocol, layer4] = Object.entries(flow.l4 ?? {})[0] ?? ["", {}];
  const reply = flow.is_reply === true;
  const ours = flow.namewall;
  const deciding = ours?.rules?.length ? ours.rules : (ours?.selected_by ?? []);
  return {
    seq,
    uuid: flow.uuid,
    time: Date.parse(flow.time.replace(/(\.\d{3})\d+/, "$1")) || 0,
    source: reply ? destination : source,
    destination: reply ? source : destination,
    sourceAddress: reply ? received : sent,
    destinationAddress: reply ? sent : received,
    port: (reply ? layer4.source_port : layer4.destination_port) ?? 0,
    protocol,
    verdict: verdictOf(flow.verdict),
    direction: (flow.traffic_direction ?? "").toLowerCase() as Direction,
    reason: flow.drop_reason_desc ?? "",
    kind: kindOf(flow),
    query: (flow.l7?.dns?.query ?? "").replace(/\.$/, "").toLowerCase(),
    summary: flow.Summary ?? "",
    times: ours?.times ?? 1,
    policies: [
      ...new Set(deciding.map((rule) => (rule.namespace ? `${rule.namespace}/${rule.name}` : rule.name))),
    ],
    text,
  };
}

export function verdictOf(hubble: string): Verdict {
  if (hubble === "DROPPED" || hubble === "ERROR") return "dropped";
  return hubble === "AUDIT" ? "audit" : "forwarded";
}

/** What the flow is, in the words of `namewall observe`. */
export function kindOf(flow: WireFlow): string {
  if (flow.l7) return `dns-${(flow.l7.type ?? "").toLowerCase()}`;
  if (flow.event_type?.type === POLICY_VERDICT) {
    return `policy-verdict:${MATCHES[flow.policy_match_type ?? 0] ?? "none"}`;
  }
  if (flow.event_type?.type === 4) return flow.traffic_direction === "INGRESS" ? "to-endpoint" : "to-stack";
  return flow.drop_reason_desc ? "drop" : "unknown";
}

/** `POLICY_DENIED` → `Policy denied`. */
export function reasonWords(reason: string): string {
  const words = reason
    .toLowerCase()
    .replaceAll("_", " ")
    .replace(/\bdns\b/, "DNS")
    .replace(/\btls\b/, "TLS");
  return words.charAt(0).toUpperCase() + words.slice(1);
}

/** `443/TCP`; the protocol alone where there is no port. */
export function portText(row: Pick<Row, "port" | "protocol">): string {
  return row.port ? `${row.port}/${row.protocol}` : row.protocol || "any";
}
