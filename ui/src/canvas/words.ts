/** The canvas in words, for labels and for what is said aloud. */
import type { Direction, Lane } from "../api";
import type { Card, DrawnRule } from "../model/draw";
import type { Kind } from "../model/objects";
import { peerText } from "../model/peer";
import { icmpText, portText } from "../model/port";
import { isEvery, type Selector, selectorText } from "../model/selector";

export const LANE_TITLES: Record<Lane, string> = {
  outside: "Outside the cluster",
  namespace: "In the namespace",
  cluster: "In the cluster",
};

export const KIND_TITLES: Record<Kind, string> = {
  CiliumNetworkPolicy: "CiliumNetworkPolicy",
  CiliumClusterwideNetworkPolicy: "CiliumClusterwideNetworkPolicy",
  NetworkPolicy: "Kubernetes NetworkPolicy",
};

export function directionTitle(direction: Direction): string {
  return direction === "ingress" ? "Ingress" : "Egress";
}

/** The protocol that a port without one means. */
export function fallbackProtocol(kind: Kind): string {
  return kind === "NetworkPolicy" ? "TCP" : "ANY";
}

export function portTexts(rule: DrawnRule, kind: Kind): string[] {
  const ports = (rule.groups ?? []).flatMap((group) =>
    group.ports.map(({ port }) => portText(port, fallbackProtocol(kind))),
  );
  const icmps = (rule.icmps ?? []).flatMap((group) => group.types.map(({ icmp }) => icmpText(icmp)));
  return [...ports, ...icmps];
}

export function dnsTexts(rule: DrawnRule): string[] | null {
  const groups = (rule.groups ?? []).filter((group) => group.dns !== null && group.dns.length > 0);
  return groups.length === 0
    ? null
    : groups.flatMap((group) => (group.dns ?? []).map(({ item }) => item.value));
}

/** A card as a sentence: `allow egress to kubernetes.io on all ports`. */
export function cardText(card: Card, kind: Kind): string {
  const { rule } = card;
  const ports = portTexts(rule, kind);
  const dns = dnsTexts(rule);
  const where = rule.direction === "ingress" ? "from" : "to";
  const peers = card.peers.map(({ peer }) => peerText(peer)).join(", ") || "peers that are kept as they are";
  const asked = dns === null ? "" : `, questions for ${dns.join(", ")}`;
  return `${rule.action} ${rule.direction} ${where} ${peers} on ${ports.join(", ") || "all ports"}${asked}`;
}

export function subjectText(selector: Selector | null, key: string): string {
  const what = key === "nodeSelector" ? "nodes" : "pods";
  if (selector === null) return `${what} chosen in a way that is kept as it is`;
  return isEvery(selector) ? `all ${what}` : selectorText(selector);
}
