/**
 * What the canvas draws of a policy.
 *
 * Invariant: every value of `spec` and `specs` is drawn or is in a list named `kept`, with its path, so that nothing is
 * hidden; `tests/undraw.ts` builds the object again from the drawing. Paths are absolute in their document.
 */
import type { Action, Direction, Lane } from "../api";
import type { Kind, PolicyObject } from "./objects";
import { kubernetesPeerOf, laneOf, members, type NameItem, nameOf, type Peer, peerOf } from "./peer";
import { type Icmp, icmpOf, type Port, portOf } from "./port";
import { type Selector, selectorOf } from "./selector";
import { pathText } from "./source";
import { isObject, type Json, type JsonObject, type Path } from "./value";

export interface Kept {
  path: Path;
  /** The path from the object on, in words. */
  label: string;
  value: Json;
}

export interface DrawnPeer {
  path: Path;
  peer: Peer;
}

/** Ports with what may be asked there: an item of `toPorts`, or the `ports` of a NetworkPolicy rule. */
export interface PortGroup {
  path: Path;
  ports: { path: Path; port: Port }[];
  /** The text has a list, be it empty. */
  listed: boolean;
  /** Names that may be asked; null for no DNS rule. */
  dns: { path: Path; item: NameItem }[] | null;
}

export interface DrawnRule {
  path: Path;
  label: string;
  direction: Direction;
  action: Action;
  /** The lists of peers that the text has, be they empty. */
  lists: string[];
  peers: DrawnPeer[];
  /** Null where the text has no `toPorts` (or `ports`). */
  groups: PortGroup[] | null;
  icmps: { path: Path; types: { path: Path; icmp: Icmp }[] }[] | null;
  kept: Kept[];
}

/** The peers of a rule in one lane: what a card on the canvas is. */
export interface Card {
  id: string;
  lane: Lane;
  rule: DrawnRule;
  peers: DrawnPeer[];
}

export interface DefaultDeny {
  on: boolean;
  /** The text's own flag (`enableDefaultDeny`, or being in `policyTypes`); null where it has none. */
  flag: boolean | null;
  /** Why the switch cannot be turned; null if it can. */
  locked: string | null;
}

export interface Block {
  path: Path;
  label: string;
  /** The key of the selector (`endpointSelector`, `nodeSelector`, `podSelector`); null where there is none to draw. */
  subject: { key: string; path: Path; selector: Selector } | null;
  description: string | null;
  defaultDeny: Record<Direction, DefaultDeny>;
  /** Of a NetworkPolicy, where the text has them. */
  policyTypes: string[] | null;
  /** The lists of rules that the text has, be they empty. */
  sections: string[];
  rules: DrawnRule[];
  cards: Card[];
  kept: Kept[];
}

export interface Drawing {
  object: PolicyObject;
  kind: Kind;
  name: string;
  /** Where it has none: `default`, and empty for a clusterwide policy. */
  namespace: string;
  audit: boolean;
  blocks: Block[];
  /** What beside `spec`, `specs`, `metadata`, `kind` and `apiVersion` the object has. */
  kept: Kept[];
}

export const DIRECTIONS = ["ingress", "egress"] as const;
export const LANES = ["outside", "namespace", "cluster"] as const;
export const MODE = "namewall.io/mode";

/** The drawing of a policy; null for what is no policy. */
export function draw(object: PolicyObject): Drawing | null {
  const kind = object.policyKind;
  if (kind === null) return null;
  const { apiVersion: _a, kind: _k, metadata, spec, specs, ...more } = object.value;
  const namespace = kind === "CiliumClusterwideNetworkPolicy" ? "" : object.namespace || "default";
  const pen = new Pen(object, kind, namespace);
  const kept = Object.entries(more).map(([key, value]) => pen.kept([...object.path, key], value));
  const blocks: Block[] = [];
  if (isObject(spec)) blocks.push(pen.block([...object.path, "spec"], spec));
  else if (spec !== undefined) kept.push(pen.kept([...object.path, "spec"], spec));
  const several = kind === "NetworkPolicy" ? undefined : specs;
  if (specs !== undefined && !Array.isArray(several)) kept.push(pen.kept([...object.path, "specs"], specs));
  for (const [at, one] of (Array.isArray(several) ? several : []).entries()) {
    const path = [...object.path, "specs", at];
    if (isObject(one)) blocks.push(pen.block(path, one));
    else kept.push(pen.kept(path, one));
  }
  const annotations = isObject(metadata) && isObject(metadata.annotations) ? metadata.annotations : {};
  return { object, kind, name: object.name, namespace, audit: annotations[MODE] === "audit", blocks, kept };
}

class Pen {
  constructor(
    private readonly object: PolicyObject,
    private readonly kind: Kind,
    private readonly home: string,
  ) {}

  kept(path: Path, value: Json): Kept {
    return { path, label: this.label(path), value };
  }

  block(path: Path, spec: JsonObject): Block {
    return this.kind === "NetworkPolicy" ? this.kubernetesBlock(path, spec) : this.ciliumBlock(path, spec);
  }

  private label(path: Path): string {
    return pathText(path.slice(this.object.path.length));
  }

  private ciliumBlock(path: Path, spec: JsonObject): Block {
    const { description, enableDefaultDeny, ...rest } = spec;
    const kept: Kept[] = [];
    if (description !== undefined && typeof description !== "string") {
      kept.push(this.kept([...path, "description"], description));
    }
    const flags = flagsOf(enableDefaultDeny);
    if (flags === null) kept.push(this.kept([...path, "enableDefaultDeny"], enableDefaultDeny as Json));
    const key = "endpointSelector" in rest || !("nodeSelector" in rest) ? "endpointSelector" : "nodeSelector";
    const selector = selectorOf(rest[key]);
    const rules: DrawnRule[] = [];
    for (const [name, value] of Object.entries(rest)) {
      const [, direction, deny] = /^(ingress|egress)(Deny)?$/.exec(name) ?? [];
      if (direction !== undefined && Array.isArray(value)) {
        for (const [at, item] of value.entries()) {
          const rule = [...path, name, at];
          if (isObject(item)) {
            rules.push(this.ciliumRule(rule, item, direction as Direction, deny ? "deny" : "allow"));
          } else kept.push(this.kept(rule, item));
        }
      } else if (!(name === key && selector !== null)) kept.push(this.kept([...path, name], value));
    }
    const sections = (direction: Direction) => [rest[direction], rest[`${direction}Deny`]];
    const switches = (direction: Direction): DefaultDeny => {
      const flag = flags?.[direction] ?? null;
      const some = sections(direction).some((list) => Array.isArray(list) && list.length > 0);
      const locked =
        flags === null ? "enableDefaultDeny is written in a way that only the text can change" : null;
      return { on: some && flag !== false, flag, locked };
    };
    return {
      path,
      label: this.label(path),
      subject: selector === null ? null : { key, path: [...path, key], selector },
      description: typeof description === "string" ? description : null,
      defaultDeny: { ingress: switches("ingress"), egress: switches("egress") },
      policyTypes: null,
      sections: sectionsOf(rest),
      rules,
      cards: this.cards(rules),
      kept,
    };
  }

  private ciliumRule(path: Path, item: JsonObject, direction: Direction, action: Action): DrawnRule {
    const known = new Set(members(direction));
    const rule: DrawnRule = {
      path,
      label: this.label(path),
      direction,
      action,
      lists: [],
      peers: [],
      groups: null,
      icmps: null,
      kept: [],
    };
    for (const [key, value] of Object.entries(item)) {
      if (known.has(key) && Array.isArray(value)) {
        rule.lists.push(key);
        value.forEach((one, at) => {
          rule.peers.push({ path: [...path, key, at], peer: peerOf(key, one) });
        });
      } else if (key === "toPorts" && Array.isArray(value)) {
        rule.groups = value.flatMap((one, at) => this.portGroup(rule, [...path, key, at], one));
      } else if (key === "icmps" && Array.isArray(value)) {
        rule.icmps = value.flatMap((one, at) => this.icmpGroup(rule, [...path, key, at], one));
      } else rule.kept.push(this.kept([...path, key], value));
    }
    const open = rule.lists.length === 0 || (rule.lists.length === 1 && rule.lists[0] === "toFQDNs");
    const limited = (rule.groups ?? []).length > 0 || (rule.icmps ?? []).length > 0;
    const elsewhere = rule.kept.some((one) =>
      /^(from|to)(Nodes|Groups|Requires)$/.test(String(one.path.at(-1))),
    );
    if (rule.peers.length === 0 && !elsewhere) {
      const peer: Peer =
        open && limited ? { kind: "any" } : { kind: "nobody", member: rule.lists[0] ?? null };
      rule.peers.push({ path, peer });
    }
    return rule;
  }

  private portGroup(rule: DrawnRule, path: Path, item: Json): PortGroup[] {
    if (!isObject(item)) {
      rule.kept.push(this.kept(path, item));
      return [];
    }
    const { ports, rules, ...more } = item;
    const group: PortGroup = { path, ports: [], listed: Array.isArray(ports), dns: null };
    if (Array.isArray(ports)) this.ports(rule, [...path, "ports"], ports, group);
    else if (ports !== undefined) rule.kept.push(this.kept([...path, "ports"], ports));
    if (isObject(rules)) {
      const { dns, ...others } = rules;
      if (Array.isArray(dns)) {
        group.dns = [];
        for (const [at, one] of dns.entries()) {
          const item = nameOf(one);
          const where = [...path, "rules", "dns", at];
          if (item === null) rule.kept.push(this.kept(where, one));
          else group.dns.push({ path: where, item });
        }
      } else if (dns !== undefined) rule.kept.push(this.kept([...path, "rules", "dns"], dns));
      for (const [key, value] of Object.entries(others)) {
        rule.kept.push(this.kept([...path, "rules", key], value));
      }
      if (Object.keys(rules).length === 0) rule.kept.push(this.kept([...path, "rules"], rules));
    } else if (rules !== undefined) rule.kept.push(this.kept([...path, "rules"], rules));
    for (const [key, value] of Object.entries(more)) rule.kept.push(this.kept([...path, key], value));
    return [group];
  }

  private ports(rule: DrawnRule, path: Path, ports: Json[], group: PortGroup): void {
    for (const [at, one] of ports.entries()) {
      const port = portOf(one);
      if (port === null) rule.kept.push(this.kept([...path, at], one));
      else group.ports.push({ path: [...path, at], port });
    }
  }

  private icmpGroup(
    rule: DrawnRule,
    path: Path,
    item: Json,
  ): { path: Path; types: { path: Path; icmp: Icmp }[] }[] {
    if (!isObject(item) || !Array.isArray(item.fields) || Object.keys(item).length !== 1) {
      rule.kept.push(this.kept(path, item));
      return [];
    }
    const types: { path: Path; icmp: Icmp }[] = [];
    for (const [at, one] of item.fields.entries()) {
      const icmp = icmpOf(one);
      const where = [...path, "fields", at];
      if (icmp === null) rule.kept.push(this.kept(where, one));
      else types.push({ path: where, icmp });
    }
    return [{ path, types }];
  }

  private kubernetesBlock(path: Path, spec: JsonObject): Block {
    const { podSelector, policyTypes, ingress, egress, ...more } = spec;
    const kept = Object.entries(more).map(([key, value]) => this.kept([...path, key], value));
    const selector = selectorOf(podSelector);
    if (selector === null && podSelector !== undefined) {
      kept.push(this.kept([...path, "podSelector"], podSelector));
    }
    const types =
      Array.isArray(policyTypes) && policyTypes.every((one) => typeof one === "string") ? policyTypes : null;
    if (types === null && policyTypes !== undefined)
      kept.push(this.kept([...path, "policyTypes"], policyTypes));
    const rules: DrawnRule[] = [];
    const sections = { ingress, egress };
    for (const direction of DIRECTIONS) {
      const section = sections[direction];
      if (!Array.isArray(section)) {
        if (section !== undefined) kept.push(this.kept([...path, direction], section));
        continue;
      }
      for (const [at, item] of section.entries()) {
        const where = [...path, direction, at];
        if (isObject(item)) rules.push(this.kubernetesRule(where, item, direction));
        else kept.push(this.kept(where, item));
      }
    }
    const effective = effectiveTypes(types as string[] | null, rules);
    const switches = (direction: Direction): DefaultDeny => {
      const on = effective.includes(direction);
      let locked: string | null = null;
      if (on && effective.length === 1) locked = "a NetworkPolicy denies in at least one direction";
      else if (on && rules.some((rule) => rule.direction === direction)) {
        locked = "a NetworkPolicy with rules in a direction denies what they do not allow: remove them first";
      }
      return { on, flag: types === null ? null : on, locked };
    };
    return {
      path,
      label: this.label(path),
      subject: selector === null ? null : { key: "podSelector", path: [...path, "podSelector"], selector },
      description: null,
      defaultDeny: { ingress: switches("ingress"), egress: switches("egress") },
      policyTypes: types as string[] | null,
      sections: sectionsOf(spec),
      rules,
      cards: this.cards(rules),
      kept,
    };
  }

  private kubernetesRule(path: Path, item: JsonObject, direction: Direction): DrawnRule {
    const list = direction === "ingress" ? "from" : "to";
    const { [list]: peers, ports, ...more } = item;
    const rule: DrawnRule = {
      path,
      label: this.label(path),
      direction,
      action: "allow",
      lists: [],
      peers: [],
      groups: null,
      icmps: null,
      kept: Object.entries(more).map(([key, value]) => this.kept([...path, key], value)),
    };
    if (Array.isArray(peers)) {
      rule.lists.push(list);
      rule.peers = peers.map((one, at) => ({ path: [...path, list, at], peer: kubernetesPeerOf(one) }));
    } else if (peers !== undefined) rule.kept.push(this.kept([...path, list], peers));
    if (Array.isArray(ports)) {
      const group: PortGroup = { path, ports: [], listed: true, dns: null };
      this.ports(rule, [...path, "ports"], ports, group);
      rule.groups = [group];
    } else if (ports !== undefined) rule.kept.push(this.kept([...path, "ports"], ports));
    if (rule.peers.length === 0) rule.peers.push({ path, peer: { kind: "any" } });
    return rule;
  }

  /** One card for each lane that a rule has peers in. The bare rule of Cilium's kinds is the default-deny switch. */
  private cards(rules: DrawnRule[]): Card[] {
    return rules.flatMap((rule) => {
      if (isBare(rule)) return [];
      const shown = rule.peers.length > 0 ? rule.peers : [];
      const lanes = LANES.filter((lane) =>
        shown.some((one) => laneOf(one.peer, this.kind, this.home) === lane),
      );
      if (lanes.length === 0)
        return [{ id: `${rule.label}@outside`, lane: "outside" as Lane, rule, peers: [] }];
      return lanes.map((lane) => ({
        id: `${rule.label}@${lane}`,
        lane,
        rule,
        peers: shown.filter((one) => laneOf(one.peer, this.kind, this.home) === lane),
      }));
    });
  }
}

/** `{}` of Cilium's kinds: it allows and denies nobody, and turns on default deny. */
export function isBare(rule: DrawnRule): boolean {
  return (
    rule.peers.length === 1 &&
    rule.peers[0]?.peer.kind === "nobody" &&
    rule.lists.length === 0 &&
    rule.groups === null &&
    rule.icmps === null &&
    rule.kept.length === 0
  );
}

/** The directions that a NetworkPolicy denies in: `policyTypes`, else ingress, and egress if it has such rules. */
function effectiveTypes(types: string[] | null, rules: DrawnRule[]): Direction[] {
  if (types !== null && types.length > 0) {
    return DIRECTIONS.filter((one) => types.some((type) => type.toLowerCase() === one));
  }
  return rules.some((rule) => rule.direction === "egress") ? ["ingress", "egress"] : ["ingress"];
}

function sectionsOf(spec: JsonObject): string[] {
  return Object.keys(spec).filter((key) => /^(ingress|egress)(Deny)?$/.test(key) && Array.isArray(spec[key]));
}

function flagsOf(value: Json | undefined): Partial<Record<Direction, boolean>> | null {
  if (value === undefined) return {};
  if (!isObject(value)) return null;
  const flags: Partial<Record<Direction, boolean>> = {};
  for (const [key, flag] of Object.entries(value)) {
    if ((key !== "ingress" && key !== "egress") || typeof flag !== "boolean") return null;
    flags[key] = flag;
  }
  return flags;
}
