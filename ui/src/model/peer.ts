/**
 * The other end of a rule: what the canvas draws of it, where it belongs, and its words.
 *
 * A peer is one item of one list of a rule (`toFQDNs`, `fromCIDR`, …). Each keeps the very form it was written in, so
 * that `memberOf` gives back what `peerOf` read.
 */
import type { Direction, Lane } from "../api";
import type { Kind } from "./objects";
import { isEvery, type Selector, selectorOf, selectorText, selectorValue } from "./selector";
import { isObject, isStrings, type Json, type JsonObject } from "./value";

export type NameItem = { match: "matchName" | "matchPattern"; value: string };

export type Peer =
  | ({ kind: "name" } & NameItem)
  /** `except` is null where the text has none; `plain` says a text and not an item of a CIDR set. */
  | { kind: "cidr"; cidr: string; except: string[] | null; plain: boolean }
  | { kind: "entity"; entity: string }
  /** In NetworkPolicy `namespaces` is its own selector; in Cilium's kinds it is null: labels say the namespace. */
  | { kind: "pods"; pods: Selector | null; namespaces: Selector | null }
  | { kind: "service"; name: string; namespace: string | null }
  | { kind: "services"; selector: Selector; namespace: string | null }
  /** No list of peers, but ports: everyone. */
  | { kind: "any" }
  /** Nothing is chosen: `{}`, or an empty list `member`. */
  | { kind: "nobody"; member: string | null }
  | { kind: "kept"; value: Json };

const NAMESPACE_KEY = /^((k8s|any):)?io\.kubernetes\.pod\.namespace$/;
const NAMESPACE_LABELS = /^((k8s|any):)?io\.cilium\.k8s\.namespace\.labels\./;
export const CILIUM_NAMESPACE = "k8s:io.kubernetes.pod.namespace";
export const NAMESPACE_NAME = "kubernetes.io/metadata.name";
export const ENTITIES = [
  "world",
  "cluster",
  "host",
  "remote-node",
  "kube-apiserver",
  "ingress",
  "health",
  "init",
  "unmanaged",
  "all",
  "none",
] as const;
const OUTSIDE = new Set(["world", "world-ipv4", "world-ipv6", "all", "none"]);

/** The lists of a Cilium rule that the canvas draws, without the `from` or `to` before them. */
const MEMBERS = ["Endpoints", "Entities", "CIDR", "CIDRSet", "FQDNs", "Services"] as const;
type Member = (typeof MEMBERS)[number];

export function members(direction: Direction): string[] {
  const prefix = direction === "ingress" ? "from" : "to";
  const known = direction === "ingress" ? MEMBERS.slice(0, 4) : MEMBERS;
  return known.map((name) => prefix + name);
}

/** What an item of the list `member` is. */
export function peerOf(member: string, value: Json): Peer {
  const kept: Peer = { kind: "kept", value };
  switch (member.replace(/^(from|to)/, "") as Member) {
    case "FQDNs": {
      const name = nameOf(value);
      return name === null ? kept : { kind: "name", ...name };
    }
    case "CIDR":
      return typeof value === "string" ? { kind: "cidr", cidr: value, except: null, plain: true } : kept;
    case "CIDRSet":
      return blockOf(value) ?? kept;
    case "Entities":
      return typeof value === "string" ? { kind: "entity", entity: value } : kept;
    case "Endpoints": {
      const pods = selectorOf(value);
      return pods === null ? kept : { kind: "pods", pods, namespaces: null };
    }
    case "Services":
      return serviceOf(value) ?? kept;
    default:
      return kept;
  }
}

/** What an item of `from` or `to` of a NetworkPolicy is. */
export function kubernetesPeerOf(value: Json): Peer {
  const kept: Peer = { kind: "kept", value };
  if (!isObject(value)) return kept;
  const { ipBlock, podSelector, namespaceSelector, ...more } = value;
  if (Object.keys(more).length > 0) return kept;
  if (ipBlock !== undefined) {
    return podSelector === undefined && namespaceSelector === undefined ? (blockOf(ipBlock) ?? kept) : kept;
  }
  const pods = podSelector === undefined ? null : selectorOf(podSelector);
  const namespaces = namespaceSelector === undefined ? null : selectorOf(namespaceSelector);
  const lost =
    (podSelector !== undefined && pods === null) || (namespaceSelector !== undefined && namespaces === null);
  return lost || (pods === null && namespaces === null) ? kept : { kind: "pods", pods, namespaces };
}

export function nameOf(value: unknown): NameItem | null {
  if (!isObject(value) || Object.keys(value).length !== 1) return null;
  const { matchName, matchPattern } = value;
  if (typeof matchName === "string") return { match: "matchName", value: matchName };
  return typeof matchPattern === "string" ? { match: "matchPattern", value: matchPattern } : null;
}

/** A name as it was typed: with a star it is a pattern. */
export function nameItem(text: string): NameItem {
  const value = text.trim();
  return { match: value.includes("*") ? "matchPattern" : "matchName", value };
}

function blockOf(value: Json): Peer | null {
  if (!isObject(value)) return null;
  const { cidr, except, ...more } = value;
  if (typeof cidr !== "string" || Object.keys(more).length > 0) return null;
  if (except !== undefined && !isStrings(except)) return null;
  return { kind: "cidr", cidr, except: except ?? null, plain: false };
}

function serviceOf(value: Json): Peer | null {
  if (!isObject(value) || Object.keys(value).length !== 1) return null;
  const one = value.k8sService;
  if (isObject(one)) {
    const { serviceName, namespace, ...more } = one;
    if (typeof serviceName !== "string" || Object.keys(more).length > 0) return null;
    if (namespace !== undefined && typeof namespace !== "string") return null;
    return { kind: "service", name: serviceName, namespace: namespace ?? null };
  }
  const many = value.k8sServiceSelector;
  if (!isObject(many)) return null;
  const { selector, namespace, ...more } = many;
  const chosen = selectorOf(selector);
  if (chosen === null || Object.keys(more).length > 0) return null;
  if (namespace !== undefined && typeof namespace !== "string") return null;
  return { kind: "services", selector: chosen, namespace: namespace ?? null };
}

/** The list of a rule and the item in it that say this peer; null where the absence of lists says it. */
export function memberOf(
  peer: Peer,
  kind: Kind,
  direction: Direction,
): { member: string; value: Json } | null {
  const prefix = direction === "ingress" ? "from" : "to";
  if (kind === "NetworkPolicy") {
    if (peer.kind === "cidr") return { member: prefix, value: { ipBlock: blockValue(peer) } };
    if (peer.kind !== "pods") return null;
    const value: JsonObject = {};
    if (peer.namespaces !== null) value.namespaceSelector = selectorValue(peer.namespaces);
    if (peer.pods !== null) value.podSelector = selectorValue(peer.pods);
    return { member: prefix, value };
  }
  switch (peer.kind) {
    case "name":
      return { member: `${prefix}FQDNs`, value: { [peer.match]: peer.value } };
    case "cidr":
      return peer.plain && (peer.except ?? []).length === 0
        ? { member: `${prefix}CIDR`, value: peer.cidr }
        : { member: `${prefix}CIDRSet`, value: blockValue(peer) };
    case "entity":
      return { member: `${prefix}Entities`, value: peer.entity };
    case "pods":
      return {
        member: `${prefix}Endpoints`,
        value: selectorValue(peer.pods ?? { matchLabels: null, matchExpressions: null }),
      };
    case "service": {
      const value: JsonObject = { serviceName: peer.name };
      if (peer.namespace !== null) value.namespace = peer.namespace;
      return { member: `${prefix}Services`, value: { k8sService: value } };
    }
    case "services": {
      const value: JsonObject = { selector: selectorValue(peer.selector) };
      if (peer.namespace !== null) value.namespace = peer.namespace;
      return { member: `${prefix}Services`, value: { k8sServiceSelector: value } };
    }
    default:
      return null;
  }
}

function blockValue(peer: { cidr: string; except: string[] | null }): JsonObject {
  return peer.except === null ? { cidr: peer.cidr } : { cidr: peer.cidr, except: [...peer.except] };
}

/** Where the canvas draws it. `home` is the policy's namespace, empty where it has none. */
export function laneOf(peer: Peer, kind: Kind, home: string): Lane {
  switch (peer.kind) {
    case "name":
    case "cidr":
    case "any":
    case "nobody":
    case "kept":
      return "outside";
    case "entity":
      return OUTSIDE.has(peer.entity) ? "outside" : "cluster";
    case "service":
    case "services":
      return kind !== "CiliumClusterwideNetworkPolicy" && (peer.namespace === null || peer.namespace === home)
        ? "namespace"
        : "cluster";
    case "pods":
      return podsLane(peer, kind, home);
  }
}

function podsLane(peer: Peer & { kind: "pods" }, kind: Kind, home: string): Lane {
  if (kind === "CiliumClusterwideNetworkPolicy") return "cluster";
  if (kind === "NetworkPolicy") {
    if (peer.namespaces === null) return "namespace";
    const { matchLabels, matchExpressions } = peer.namespaces;
    const only = Object.entries(matchLabels ?? {});
    const named = only.length === 1 && only[0]?.[0] === NAMESPACE_NAME && only[0][1] === (home || "default");
    return named && (matchExpressions ?? []).length === 0 ? "namespace" : "cluster";
  }
  const labels = Object.entries(peer.pods?.matchLabels ?? {});
  const keys = [...labels.map(([key]) => key), ...(peer.pods?.matchExpressions ?? []).map((one) => one.key)];
  if (keys.some((key) => key.startsWith("reserved:"))) return "cluster";
  const said = labels.find(([key]) => NAMESPACE_KEY.test(key));
  if (said !== undefined) return said[1] === (home || "default") ? "namespace" : "cluster";
  return keys.some((key) => NAMESPACE_KEY.test(key) || NAMESPACE_LABELS.test(key)) ? "cluster" : "namespace";
}

/** What the card is headed with. */
export function peerKindWord(peer: Peer): string {
  const words: Record<Peer["kind"], string> = {
    name: "Name",
    cidr: "Addresses",
    entity: "Entity",
    pods: "Pods",
    service: "Service",
    services: "Services",
    any: "Anyone",
    nobody: "Nobody",
    kept: "Kept as it is",
  };
  return words[peer.kind];
}

export function peerText(peer: Peer): string {
  switch (peer.kind) {
    case "name":
      return peer.value;
    case "cidr":
      return (peer.except ?? []).length > 0 ? `${peer.cidr} but not ${peer.except?.join(", ")}` : peer.cidr;
    case "entity":
      return peer.entity;
    case "service":
      return peer.namespace === null ? peer.name : `${peer.namespace}/${peer.name}`;
    case "services": {
      const where = peer.namespace === null ? "" : ` in ${peer.namespace}`;
      return `${selectorText(peer.selector) || "all"}${where}`;
    }
    case "pods":
      return podsText(peer);
    case "any":
      return "anyone";
    case "nobody":
      return peer.member === null ? "nobody" : `nobody (${peer.member} is empty)`;
    case "kept":
      return keptText(peer.value);
  }
}

/** As YAML has it on one line, without the braces of the whole: `cidrGroupRef: office`. */
function keptText(value: Json): string {
  if (!isObject(value)) return JSON.stringify(value);
  const text = (one: Json) => (typeof one === "string" ? one : JSON.stringify(one));
  return Object.entries(value)
    .map(([key, one]) => `${key}: ${text(one)}`)
    .join(", ");
}

function podsText(peer: Peer & { kind: "pods" }): string {
  const form = podsForm(peer);
  const who = form.labels || "all pods";
  if (form.where === "here") return who;
  if (form.where === "every") return `${who} in every namespace`;
  return form.where === "named" ? `${who} in ${form.namespace}` : `${who} in namespaces ${form.namespace}`;
}

/** Pods as a form has them: labels, and the namespace apart from them. */
export interface PodsForm {
  labels: string;
  where: "here" | "every" | "named" | "labelled";
  /** The namespace's name, or the selector of namespaces. */
  namespace: string;
}

export function podsForm(peer: Peer & { kind: "pods" }): PodsForm {
  const labels = peer.pods === null ? "" : selectorText(peer.pods);
  if (peer.namespaces !== null) {
    if (isEvery(peer.namespaces)) return { labels, where: "every", namespace: "" };
    const text = selectorText(peer.namespaces);
    const named = text.startsWith(`${NAMESPACE_NAME}=`) && !text.includes(",");
    return named
      ? { labels, where: "named", namespace: text.slice(NAMESPACE_NAME.length + 1) }
      : { labels, where: "labelled", namespace: text };
  }
  const said = Object.entries(peer.pods?.matchLabels ?? {}).filter(([key]) => NAMESPACE_KEY.test(key));
  const [only] = said;
  if (only !== undefined && said.length === 1) {
    const { [only[0]]: _, ...others } = peer.pods?.matchLabels ?? {};
    const rest = { matchLabels: others, matchExpressions: peer.pods?.matchExpressions ?? null };
    return { labels: selectorText(rest), where: "named", namespace: only[1] };
  }
  const exists = (peer.pods?.matchExpressions ?? []).filter(
    (one) => one.key === CILIUM_NAMESPACE && one.operator === "Exists",
  );
  if (exists.length === 1 && peer.pods !== null) {
    const others = (peer.pods.matchExpressions ?? []).filter((one) => one !== exists[0]);
    const rest = { matchLabels: peer.pods.matchLabels, matchExpressions: others };
    return { labels: selectorText(rest), where: "every", namespace: "" };
  }
  return { labels, where: "here", namespace: "" };
}

/** The pods that a form says, in the words of a kind. `pods` and `namespaces` are the form's texts, read. */
export function podsPeer(
  kind: Kind,
  where: PodsForm["where"],
  pods: Selector,
  namespaces: Selector | string,
): Peer {
  const every: Selector = { matchLabels: null, matchExpressions: null };
  if (kind === "NetworkPolicy") {
    const chosen =
      where === "here"
        ? null
        : where === "every"
          ? every
          : typeof namespaces === "string"
            ? { matchLabels: { [NAMESPACE_NAME]: namespaces }, matchExpressions: null }
            : namespaces;
    return { kind: "pods", pods: chosen !== null && isEvery(pods) ? null : pods, namespaces: chosen };
  }
  const clusterwide = kind === "CiliumClusterwideNetworkPolicy";
  if (where === "named" && typeof namespaces === "string") {
    const matchLabels = { [CILIUM_NAMESPACE]: namespaces, ...pods.matchLabels };
    return { kind: "pods", pods: { ...pods, matchLabels }, namespaces: null };
  }
  if (where === "every" && !clusterwide) {
    const exists = { key: CILIUM_NAMESPACE, operator: "Exists" as const, values: null };
    const matchExpressions = [exists, ...(pods.matchExpressions ?? [])];
    return { kind: "pods", pods: { ...pods, matchExpressions }, namespaces: null };
  }
  return { kind: "pods", pods, namespaces: null };
}
