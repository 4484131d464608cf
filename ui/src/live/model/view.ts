/**
 * What of the graph is drawn: frames (a namespace, a registered domain), cards in them, and links between cards.
 *
 * A closed frame is one card, so that 200 nodes stay readable. A link joins two cards and has one verdict: what passed, what
 * would have been dropped and what was dropped between the same two are drawn apart. Ports are words on the link, and rows of
 * the list beside the map.
 */

import type { Verdict } from "./flow";
import { portText, VERDICTS } from "./flow";
import type { Counts, Edge } from "./graph";
import type { Party, PartyKind } from "./party";
import { groupTitle } from "./party";

export interface Card {
  readonly id: string;
  /** Of a closed frame: `group`. */
  readonly kind: PartyKind | "group";
  readonly group: string;
  readonly title: string;
  readonly members: readonly Party[];
  readonly counts: Counts;
}

export type FrameKind = "ns" | "domain" | "addresses" | "entities";

export interface Frame {
  readonly id: string;
  readonly kind: FrameKind;
  readonly title: string;
  readonly open: boolean;
  /** False for a domain of one name: its card says all. */
  readonly framed: boolean;
  readonly members: number;
  readonly cards: readonly Card[];
}

export interface Link {
  readonly id: string;
  readonly source: string;
  readonly target: string;
  readonly verdict: Verdict;
  /** `443/TCP`, the busiest first. */
  readonly ports: readonly string[];
  readonly count: number;
  /** Place among the links between the same two cards: 0 is the middle. */
  readonly lane: number;
}

export interface View {
  readonly frames: readonly Frame[];
  readonly links: readonly Link[];
  /** Party → the card that stands for it. */
  readonly shown: ReadonlyMap<string, string>;
}

export type Openness = ReadonlyMap<string, boolean>;

/** So many workloads are drawn one by one; more are drawn as their namespaces. */
export const WORKLOADS = 60;
/** With so many nodes each name is drawn; with more their registered domains are. */
export const NODES = 60;
const ADDRESSES = 5;

export function frameKind(group: string): FrameKind {
  if (group.startsWith("ns/")) return "ns";
  if (group.startsWith("domain/")) return "domain";
  return group === "entities" ? "entities" : "addresses";
}

/**
 * Which frames are open where nobody said: all of a kind or none, so that the picture can be understood at a glance. What was decided
 * stays, so that it does not jump when a node comes, until half as many again are there.
 */
export function openByDefault(
  sizes: ReadonlyMap<string, number>,
  before: Openness,
  most = { workloads: WORKLOADS, nodes: NODES },
): Openness {
  let workloads = 0;
  let nodes = 0;
  for (const [group, size] of sizes) {
    nodes += size;
    if (frameKind(group) === "ns") workloads += size;
  }
  const open = new Map<string, boolean>();
  for (const [group, size] of sizes) {
    const kind = frameKind(group);
    const [number, bound] =
      kind === "ns" || kind === "entities" ? [workloads, most.workloads] : [nodes, most.nodes];
    const known = number > bound * 1.5 ? undefined : before.get(group);
    open.set(group, known ?? (number <= bound && (kind !== "addresses" || size <= ADDRESSES)));
  }
  return open;
}

export function groupSizes(parties: Iterable<Party>): Map<string, number> {
  const sizes = new Map<string, number>();
  for (const party of parties) sizes.set(party.group, (sizes.get(party.group) ?? 0) + 1);
  return sizes;
}

/** `parties` is all that is drawn, in a stable order; `edges` may be between these only. */
export function viewOf(parties: Iterable<Party>, edges: Iterable<Edge>, open: Openness): View {
  const groups = new Map<string, Party[]>();
  for (const party of parties) {
    const members = groups.get(party.group);
    if (members) members.push(party);
    else groups.set(party.group, [party]);
  }
  const shown = new Map<string, string>();
  for (const [group, members] of groups) {
    const alone = members.length === 1 || open.get(group) === true;
    for (const party of members) shown.set(party.id, alone ? party.id : group);
  }
  const counts = new Map<string, Record<Verdict, number>>();
  const links = linksOf(edges, shown, counts);
  const frames = [...groups].map(([group, members]) =>
    frameOf(group, members, open.get(group) === true, counts),
  );
  return { frames, links, shown };
}

function frameOf(
  group: string,
  members: readonly Party[],
  open: boolean,
  counts: ReadonlyMap<string, Counts>,
): Frame {
  const kind = frameKind(group);
  const alone = members.length === 1;
  const whole = open || alone;
  const zero: Counts = { forwarded: 0, audit: 0, dropped: 0 };
  const cards: Card[] = whole
    ? members.map((party) => ({
        id: party.id,
        kind: party.kind,
        group,
        title: party.name,
        members: [party],
        counts: counts.get(party.id) ?? zero,
      }))
    : [
        {
          id: group,
          kind: "group",
          group,
          title: groupTitle(group),
          members,
          counts: counts.get(group) ?? zero,
        },
      ];
  const framed = whole && (kind === "ns" || kind === "entities" || !alone);
  return { id: group, kind, title: groupTitle(group), open: whole, framed, members: members.length, cards };
}

function linksOf(
  edges: Iterable<Edge>,
  shown: ReadonlyMap<string, string>,
  counts: Map<string, Record<Verdict, number>>,
): Link[] {
  const pairs = new Map<string, { source: string; target: string; by: Map<Verdict, Map<string, number>> }>();
  for (const edge of edges) {
    const source = shown.get(edge.source.id);
    const target = shown.get(edge.destination.id);
    if (source === undefined || target === undefined) continue;
    for (const verdict of VERDICTS) {
      const count = edge.counts[verdict];
      if (!count) continue;
      for (const card of new Set([source, target])) {
        const sum = counts.get(card) ?? { forwarded: 0, audit: 0, dropped: 0 };
        sum[verdict] += count;
        counts.set(card, sum);
      }
      if (source === target) continue;
      const key = `${source}>${target}`;
      const pair = pairs.get(key) ?? { source, target, by: new Map<Verdict, Map<string, number>>() };
      pairs.set(key, pair);
      const ports = pair.by.get(verdict) ?? new Map<string, number>();
      pair.by.set(verdict, ports);
      const port = portText(edge);
      ports.set(port, (ports.get(port) ?? 0) + count);
    }
  }
  const links: Link[] = [];
  for (const [key, { source, target, by }] of pairs) {
    const verdicts = VERDICTS.filter((verdict) => by.has(verdict));
    verdicts.forEach((verdict, index) => {
      const ports = [...(by.get(verdict) ?? [])].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1));
      links.push({
        id: linkId(key, verdict),
        source,
        target,
        verdict,
        ports: ports.map(([port]) => port),
        count: ports.reduce((sum, [, count]) => sum + count, 0),
        lane: index - (verdicts.length - 1) / 2,
      });
    });
  }
  return links;
}

export function linkId(pair: string, verdict: Verdict): string {
  return `${pair}:${verdict}`;
}

/** `443/TCP, 80/TCP +2` */
export function portsLabel(ports: readonly string[], most = 2): string {
  const rest = ports.length - most;
  return ports.slice(0, most).join(", ") + (rest > 0 ? ` +${rest}` : "");
}
