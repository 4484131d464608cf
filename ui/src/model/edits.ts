/**
 * What can be done on the canvas, as edits of the text.
 *
 * Each function reads a drawing and says the edits; nothing here touches a text (`applyEdits` does). Rules and cards may
 * be of an earlier drawing of the same text: they are told apart by their paths, never by being the same value. Taking
 * away the last rule of a direction leaves an empty one: default deny stays, only its switch changes it.
 */
import type { Action, Direction } from "../api";
import {
  type Block,
  type Card,
  type Drawing,
  type DrawnPeer,
  type DrawnRule,
  isBare,
  MODE,
  type PortGroup,
} from "./draw";
import type { Kind } from "./objects";
import { memberOf, type NameItem, type Peer } from "./peer";
import { type Icmp, icmpValue, type Port, portValue } from "./port";
import { type Selector, selectorValue } from "./selector";
import { EditError } from "./splice";
import { type Edit, equal, isObject, type Json, type JsonObject, type Path, valueAt } from "./value";

export interface NewRule {
  peer: Peer;
  ports: Port[];
  icmps: Icmp[];
  /** Names that may be asked on these ports; null for no DNS rule. */
  dns: NameItem[] | null;
}

export const KUBE_DNS: Selector = {
  matchLabels: { "k8s:io.kubernetes.pod.namespace": "kube-system", "k8s:k8s-app": "kube-dns" },
  matchExpressions: null,
};

export const ANY_NAME: NameItem = { match: "matchPattern", value: "*" };

export function rename(drawing: Drawing, name: string): Edit[] {
  return [{ op: "set", path: [...drawing.object.path, "metadata", "name"], value: name }];
}

export function setNamespace(drawing: Drawing, namespace: string): Edit[] {
  const path = [...drawing.object.path, "metadata", "namespace"];
  const given = drawing.object.namespace !== "";
  if (namespace === "") return given ? [{ op: "remove", path }] : [];
  return [{ op: "set", path, value: namespace }];
}

export function setSubject(block: Block, kind: Kind, selector: Selector): Edit[] {
  const key = kind === "NetworkPolicy" ? "podSelector" : "endpointSelector";
  const value = selectorValue(selector);
  if (block.subject === null) return [{ op: "set", path: [...block.path, key], value }];
  return changeValue(block.subject.path, selectorValue(block.subject.selector), value);
}

export function setDescription(block: Block, text: string): Edit[] {
  const path = [...block.path, "description"];
  if (text === "") return block.description === null ? [] : [{ op: "remove", path }];
  return [{ op: "set", path, value: text }];
}

/** Audit or enforce (docs/audit.md): an annotation of the object. */
export function setAudit(drawing: Drawing, on: boolean): Edit[] {
  const metadata = [...drawing.object.path, "metadata"];
  const path = [...metadata, "annotations", MODE];
  if (on) return [{ op: "set", path, value: "audit" }];
  const annotations = valueAt(drawing.object.value, ["metadata", "annotations"]);
  const alone = isObject(annotations) && Object.keys(annotations).length === 1;
  return drawing.audit ? [{ op: "remove", path: alone ? [...metadata, "annotations"] : path }] : [];
}

export function switchDefaultDeny(drawing: Drawing, block: Block, direction: Direction, on: boolean): Edit[] {
  const now = block.defaultDeny[direction];
  if (now.on === on || now.locked !== null) return [];
  if (drawing.kind === "NetworkPolicy") return switchPolicyType(drawing, block, direction, on);
  const rules = block.rules.filter((rule) => rule.direction === direction);
  if (on) {
    const flag = now.flag === false ? clearFlag(drawing, block, direction) : [];
    return rules.length > 0 ? flag : [...flag, { op: "set", path: [...block.path, direction], value: [{}] }];
  }
  const others = block.rules.some((rule) => rule.direction !== direction);
  if (rules.every(isBare) && others) {
    const sections = [...new Set(rules.map((rule) => String(rule.path.at(-2))))];
    const removals = sections.map((key): Edit => ({ op: "remove", path: [...block.path, key] }));
    return [...(now.flag === null ? [] : clearFlag(drawing, block, direction)), ...removals];
  }
  return [{ op: "set", path: [...block.path, "enableDefaultDeny", direction], value: false }];
}

function clearFlag(drawing: Drawing, block: Block, direction: Direction): Edit[] {
  const path = [...block.path, "enableDefaultDeny"];
  const flags = inObject(drawing, path);
  const alone = isObject(flags) && Object.keys(flags).length === 1;
  return [{ op: "remove", path: alone ? path : [...path, direction] }];
}

function switchPolicyType(drawing: Drawing, block: Block, direction: Direction, on: boolean): Edit[] {
  const path = [...block.path, "policyTypes"];
  const type = direction === "ingress" ? "Ingress" : "Egress";
  const at = (block.policyTypes ?? []).findIndex((one) => one.toLowerCase() === direction);
  if (on && (block.policyTypes ?? []).length > 0) return [{ op: "append", path, value: type }];
  if (!on && at >= 0) {
    const edits: Edit[] = [{ op: "remove", path: [...path, at] }];
    if (Array.isArray(inObject(drawing, [...block.path, direction]))) {
      edits.push({ op: "remove", path: [...block.path, direction] }); // `[]`, with no type it is about
    }
    return edits;
  }
  const both = (["ingress", "egress"] as const).filter((one) =>
    one === direction ? on : block.defaultDeny[one].on,
  );
  return [{ op: "set", path, value: both.map((one) => (one === "ingress" ? "Ingress" : "Egress")) }];
}

/** A rule more: into a rule with the same ports and the same list of peers where there is one. */
export function addRule(
  drawing: Drawing,
  block: Block,
  direction: Direction,
  action: Action,
  rule: NewRule,
): Edit[] {
  const { kind } = drawing;
  const item = memberOf(rule.peer, kind, direction);
  const value = ruleValue(kind, direction, rule);
  const key = action === "deny" ? `${direction}Deny` : direction;
  const section = block.rules.filter((one) => one.direction === direction && one.action === action);
  const edits: Edit[] = [];
  if (kind === "NetworkPolicy" && !block.defaultDeny[direction].on) {
    edits.push(...switchPolicyType(drawing, block, direction, true));
  }
  const bare = kind === "NetworkPolicy" ? undefined : section.find(isBare);
  const fitting = item === null ? undefined : section.find((one) => fits(drawing, one, item.member, value));
  if (fitting !== undefined && item !== null) {
    edits.push({ op: "append", path: [...fitting.path, item.member], value: item.value });
  } else if (bare !== undefined) edits.push({ op: "set", path: bare.path, value });
  else edits.push({ op: "append", path: [...block.path, key], value });
  return edits;
}

/** Would the rule differ from the one there in nothing but one more peer? */
function fits(drawing: Drawing, there: DrawnRule, member: string, value: JsonObject): boolean {
  if (member.endsWith("Services")) return false;
  if (there.lists.length !== 1 || there.lists[0] !== member || there.peers[0]?.peer.kind === "nobody")
    return false;
  const { [member]: _mine, ...mine } = value;
  const { [member]: _theirs, ...theirs } = (inObject(drawing, there.path) ?? {}) as JsonObject;
  return equal(mine, theirs);
}

export function ruleValue(kind: Kind, direction: Direction, rule: NewRule): JsonObject {
  const item = memberOf(rule.peer, kind, direction);
  const value: JsonObject = {};
  if (item !== null) value[item.member] = [item.value];
  const restricted = rule.ports.length > 0 || rule.icmps.length > 0;
  if (kind !== "NetworkPolicy" && item === null && !restricted && rule.peer.kind === "any") {
    value[direction === "ingress" ? "fromEntities" : "toEntities"] = ["all"]; // `{}` would allow nobody
  }
  if (rule.ports.length > 0) {
    const ports = rule.ports.map(portValue);
    if (kind === "NetworkPolicy") value.ports = ports;
    else value.toPorts = [portsValue(ports, rule.dns)];
  }
  if (rule.icmps.length > 0) value.icmps = [{ fields: rule.icmps.map(icmpValue) }];
  return value;
}

function portsValue(ports: Json[], dns: NameItem[] | null): JsonObject {
  if (dns === null) return { ports };
  return { ports, rules: { dns: dns.map(nameValue) } };
}

function nameValue(item: NameItem): JsonObject {
  return { [item.match]: item.value };
}

/** Take a peer out of its rule, its list with the last of the list, and the rule with its last peer. */
export function removePeer(drawing: Drawing, block: Block, rule: DrawnRule, peer: DrawnPeer): Edit[] {
  const path = peer.path.slice(0, -1);
  const list = inObject(drawing, path);
  if (rule.peers.length < 2 || !Array.isArray(list) || typeof peer.path.at(-1) !== "number") {
    return removeRule(drawing, block, rule);
  }
  return [{ op: "remove", path: list.length < 2 ? path : peer.path }];
}

/** Take a card away: all its peers, and the rule if it has none elsewhere. */
export function removeCard(drawing: Drawing, block: Block, card: Card): Edit[] {
  if (card.peers.length === card.rule.peers.length) return removeRule(drawing, block, card.rule);
  return [...card.peers].reverse().map((one): Edit => ({ op: "remove", path: one.path }));
}

export function removeRule(drawing: Drawing, block: Block, rule: DrawnRule): Edit[] {
  const section = rule.path.slice(0, -1);
  const list = inObject(drawing, section);
  if (!Array.isArray(list) || list.length > 1) return [{ op: "remove", path: rule.path }];
  if (drawing.kind === "NetworkPolicy") {
    const explicit: Edit[] =
      (block.policyTypes ?? []).length === 0 && rule.direction === "egress"
        ? [{ op: "set", path: [...block.path, "policyTypes"], value: ["Ingress", "Egress"] }]
        : [];
    return [...explicit, { op: "remove", path: section }];
  }
  const more = block.rules.some((one) => one.direction === rule.direction && one.label !== rule.label);
  return more ? [{ op: "remove", path: section }] : [{ op: "set", path: rule.path, value: {} }];
}

/** Another peer in the place of one. Where it needs another list, a rule of its own is made with the same ports. */
export function setPeer(drawing: Drawing, block: Block, rule: DrawnRule, old: DrawnPeer, peer: Peer): Edit[] {
  const item = memberOf(peer, drawing.kind, rule.direction);
  const there = memberOf(old.peer, drawing.kind, rule.direction);
  if (item !== null && there !== null && item.member === there.member) {
    return changeValue(old.path, there.value, item.value);
  }
  if (rule.peers.length === 1) {
    const list = rule.lists[0];
    const everyone = ruleValue(drawing.kind, rule.direction, { peer, ports: [], icmps: [], dns: null });
    const free =
      item === null && (rule.groups !== null || rule.icmps !== null || drawing.kind === "NetworkPolicy");
    const [member, value] = item === null ? (Object.entries(everyone)[0] ?? []) : [item.member, [item.value]];
    if (free || member === undefined || value === undefined) {
      return list === undefined ? [] : [{ op: "remove", path: [...rule.path, list] }];
    }
    if (list === undefined) return [{ op: "set", path: [...rule.path, member], value }];
    return [
      { op: "rename", path: [...rule.path, list], key: member },
      { op: "set", path: [...rule.path, member], value },
    ];
  }
  return [ruleBeside(drawing, rule, peer), ...removePeer(drawing, block, rule, old)];
}

/** One more peer beside those of a rule, with all that the rule has, also what is kept of it. */
export function addPeer(drawing: Drawing, rule: DrawnRule, peer: Peer): Edit[] {
  const item = memberOf(peer, drawing.kind, rule.direction);
  if (item !== null && rule.lists.length === 1 && rule.lists[0] === item.member) {
    return [{ op: "append", path: [...rule.path, item.member], value: item.value }];
  }
  return [ruleBeside(drawing, rule, peer)];
}

/** A rule with another peer and everything else of `rule`. */
function ruleBeside(drawing: Drawing, rule: DrawnRule, peer: Peer): Edit {
  const value = (inObject(drawing, rule.path) ?? {}) as JsonObject;
  const others = Object.fromEntries(Object.entries(value).filter(([key]) => !rule.lists.includes(key)));
  const mine = ruleValue(drawing.kind, rule.direction, { peer, ports: [], icmps: [], dns: null });
  return { op: "append", path: rule.path.slice(0, -1), value: { ...mine, ...others } };
}

/**
 * The ports of a group (null: of a new one), keeping the entries that stay as they are written. Taking all away takes
 * the group away, but not with something in it that is kept.
 */
export function setPorts(drawing: Drawing, rule: DrawnRule, group: PortGroup | null, ports: Port[]): Edit[] {
  const kubernetes = drawing.kind === "NetworkPolicy";
  if (group === null) {
    if (ports.length === 0) return [];
    const values = ports.map(portValue);
    return kubernetes
      ? [{ op: "set", path: [...rule.path, "ports"], value: values }]
      : [{ op: "append", path: [...rule.path, "toPorts"], value: { ports: values } }];
  }
  if (ports.length === 0) {
    if (group.ports.length === 0) return [];
    if (kubernetes) return [{ op: "remove", path: [...rule.path, "ports"] }];
    const kept = rule.kept.find((one) => equal(one.path.slice(0, group.path.length), group.path));
    if (kept !== undefined) {
      throw new EditError(`\`${kept.label}\` would go with these ports: take it away in the text first`);
    }
    const last = (rule.groups ?? []).length === 1;
    return [{ op: "remove", path: last ? [...rule.path, "toPorts"] : group.path }];
  }
  return changeList(
    [...group.path, "ports"],
    group.ports.map((one) => ({ path: one.path, value: portValue(one.port) })),
    ports.map(portValue),
  );
}

export function setIcmps(rule: DrawnRule, icmps: Icmp[]): Edit[] {
  const groups = rule.icmps ?? [];
  const types = groups.flatMap((one) => one.types);
  if (icmps.length === 0) return groups.length === 0 ? [] : [{ op: "remove", path: [...rule.path, "icmps"] }];
  const first = groups[0];
  const values = icmps.map(icmpValue);
  if (first === undefined) return [{ op: "set", path: [...rule.path, "icmps"], value: [{ fields: values }] }];
  if (
    equal(
      types.map((one) => icmpValue(one.icmp)),
      values,
    )
  )
    return [];
  if (groups.length > 1) return [{ op: "set", path: [...rule.path, "icmps"], value: [{ fields: values }] }];
  return changeList(
    [...first.path, "fields"],
    types.map((one) => ({ path: one.path, value: icmpValue(one.icmp) })),
    values,
  );
}

/** The names that may be asked on a group's ports; null or none for no DNS rule. */
export function setDns(drawing: Drawing, group: PortGroup, dns: NameItem[] | null): Edit[] {
  const path = [...group.path, "rules"];
  if (dns === null || dns.length === 0) {
    if (group.dns === null) return [];
    const rules = inObject(drawing, path);
    const alone = isObject(rules) && Object.keys(rules).length === 1;
    return [{ op: "remove", path: alone ? path : [...path, "dns"] }];
  }
  const values = dns.map(nameValue);
  if (group.dns === null) return [{ op: "set", path: [...path, "dns"], value: values }];
  return changeList(
    [...path, "dns"],
    group.dns.map((one) => ({ path: one.path, value: nameValue(one.item) })),
    values,
  );
}

/**
 * The DNS rule that a name needs: names are learned from answers alone, so the workload must be allowed to ask.
 * A rule for kube-dns that is there gets the name; where there is none it is made with `asked`.
 */
export function allowDns(drawing: Drawing, block: Block, asked: NameItem): Edit[] {
  if (drawing.kind === "NetworkPolicy") return [];
  let found: PortGroup | null = null;
  for (const rule of block.rules) {
    if (
      rule.direction !== "egress" ||
      rule.action !== "allow" ||
      !rule.peers.some((one) => isKubeDns(one.peer))
    ) {
      continue;
    }
    for (const group of rule.groups ?? []) {
      if (group.dns === null || !group.ports.some((one) => String(one.port.port) === "53")) continue;
      if (group.dns.some(({ item }) => item.value === "*" || equal(item, asked))) return [];
      found ??= group;
    }
  }
  if (found !== null)
    return [{ op: "append", path: [...found.path, "rules", "dns"], value: nameValue(asked) }];
  return addRule(drawing, block, "egress", "allow", {
    peer: { kind: "pods", pods: KUBE_DNS, namespaces: null },
    ports: [{ port: "53", endPort: null, protocol: "ANY" }],
    icmps: [],
    dns: [asked],
  });
}

function isKubeDns(peer: Peer): boolean {
  if (peer.kind !== "pods") return false;
  return Object.entries(peer.pods?.matchLabels ?? {}).some(
    ([key, value]) => /^((k8s|any):)?k8s-app$/.test(key) && value === "kube-dns",
  );
}

/** Edits that make the value `old` the `wanted` one: what both have stays as it is written, comments and all. */
function changeValue(path: Path, old: Json, wanted: Json): Edit[] {
  if (equal(old, wanted)) return [];
  if (Array.isArray(old) && Array.isArray(wanted) && wanted.length > 0) {
    if (old.length === wanted.length) {
      return wanted.flatMap((value, at) => changeValue([...path, at], old[at] as Json, value));
    }
    const items = old.map((value, at) => ({ path: [...path, at], value }));
    return changeList(path, items, wanted);
  }
  if (!isObject(old) || !isObject(wanted) || Object.keys(wanted).length === 0) {
    return [{ op: "set", path, value: wanted }];
  }
  const gone = Object.keys(old).filter((key) => !(key in wanted));
  const made = Object.keys(wanted).filter((key) => !(key in old));
  const [before] = gone;
  const [after] = made;
  // One for one is a change in place, as of lists.
  if (gone.length === 1 && made.length === 1 && before !== undefined && after !== undefined) {
    const { [before]: value, ...others } = old;
    const renamed = { ...others, [after]: value } as JsonObject;
    return [{ op: "rename", path: [...path, before], key: after }, ...changeValue(path, renamed, wanted)];
  }
  return [
    ...Object.entries(wanted).flatMap(([key, value]) =>
      key in old
        ? changeValue([...path, key], old[key] as Json, value)
        : [{ op: "set", path: [...path, key], value } as Edit],
    ),
    ...gone.map((key): Edit => ({ op: "remove", path: [...path, key] })),
  ];
}

/** Edits that make a list of `old` items the `wanted` ones: what stays is not touched, new ones come last. */
function changeList(path: Path, old: { path: Path; value: Json }[], wanted: Json[]): Edit[] {
  const left = [...wanted];
  const gone = old.filter(({ value }) => {
    const at = left.findIndex((one) => equal(one, value));
    if (at >= 0) left.splice(at, 1);
    return at < 0;
  });
  // One for one is a change in place, with its comment.
  const [only] = gone;
  const [by] = left;
  if (gone.length === 1 && left.length === 1 && only !== undefined && by !== undefined) {
    return [{ op: "set", path: only.path, value: by }];
  }
  return [
    ...left.map((value): Edit => ({ op: "append", path, value })),
    ...gone.reverse().map((one): Edit => ({ op: "remove", path: one.path })),
  ];
}

function inObject(drawing: Drawing, path: Path): unknown {
  return valueAt(drawing.object.value, path.slice(drawing.object.path.length));
}
