/** A drawing back as the object it was drawn from: what this cannot give back, the canvas hides. */
import type { Block, Drawing, DrawnRule, Kept } from "../src/model/draw";
import { memberOf } from "../src/model/peer";
import { icmpValue, portValue } from "../src/model/port";
import { selectorValue } from "../src/model/selector";
import type { Json, JsonObject } from "../src/model/value";

export function undraw(drawing: Drawing): JsonObject {
  const { apiVersion, kind, metadata } = drawing.object.value;
  const object: JsonObject = {
    apiVersion: apiVersion ?? null,
    kind: kind ?? null,
    metadata: metadata ?? null,
  };
  for (const block of drawing.blocks) put(object, relative(drawing, block.path), blockOf(drawing, block));
  const kept = [
    ...drawing.kept,
    ...drawing.blocks.flatMap((block) => [...block.kept, ...block.rules.flatMap((rule) => rule.kept)]),
  ];
  for (const one of kept.toSorted((a, b) => order(a, b))) put(object, relative(drawing, one.path), one.value);
  return object;
}

/** List items in their order, so that each finds its place. */
function order(a: Kept, b: Kept): number {
  return a.path.length - b.path.length || a.label.localeCompare(b.label, "en", { numeric: true });
}

function relative(drawing: Drawing, path: readonly (string | number)[]): readonly (string | number)[] {
  return path.slice(drawing.object.path.length);
}

function put(root: JsonObject, path: readonly (string | number)[], value: Json): void {
  let at: Json = root;
  path.forEach((key, depth) => {
    const last = depth === path.length - 1;
    const holder = at as Record<string | number, Json>;
    if (last) holder[key] = value;
    else if (holder[key] === undefined) holder[key] = typeof path[depth + 1] === "number" ? [] : {};
    at = holder[key] ?? null;
  });
}

function blockOf(drawing: Drawing, block: Block): JsonObject {
  const spec: JsonObject = {};
  if (block.description !== null) spec["description"] = block.description;
  if (block.subject !== null) spec[block.subject.key] = selectorValue(block.subject.selector);
  if (block.policyTypes !== null) spec["policyTypes"] = [...block.policyTypes];
  if (drawing.kind !== "NetworkPolicy") {
    const { ingress, egress } = block.defaultDeny;
    const flags: JsonObject = {};
    if (ingress.flag !== null) flags["ingress"] = ingress.flag;
    if (egress.flag !== null) flags["egress"] = egress.flag;
    if (Object.keys(flags).length > 0) spec["enableDefaultDeny"] = flags;
  }
  for (const section of block.sections) spec[section] = [];
  for (const rule of block.rules) {
    const [section, at] = rule.path.slice(-2) as [string, number];
    (spec[section] as Json[])[at] = ruleOf(drawing, rule);
  }
  return spec;
}

function ruleOf(drawing: Drawing, rule: DrawnRule): JsonObject {
  const value: JsonObject = {};
  for (const list of rule.lists) value[list] = [];
  for (const { path, peer } of rule.peers) {
    if (peer.kind === "any" || peer.kind === "nobody") continue;
    const [list, at] = path.slice(-2) as [string, number];
    const said = peer.kind === "kept" ? peer.value : memberOf(peer, drawing.kind, rule.direction)?.value;
    (value[list] as Json[])[at] = said ?? null;
  }
  if (rule.groups !== null) {
    if (drawing.kind === "NetworkPolicy") value["ports"] = portsOf(rule.groups[0]?.ports ?? []);
    else {
      value["toPorts"] = rule.groups.map((group) => {
        const item: JsonObject = {};
        if (group.listed) item["ports"] = portsOf(group.ports);
        if (group.dns !== null) {
          item["rules"] = { dns: group.dns.map((one) => ({ [one.item.match]: one.item.value })) };
        }
        return item;
      });
    }
  }
  if (rule.icmps !== null) {
    value["icmps"] = rule.icmps.map((group) => ({ fields: group.types.map(({ icmp }) => icmpValue(icmp)) }));
  }
  return value;
}

function portsOf(ports: readonly { port: Parameters<typeof portValue>[0] }[]): Json[] {
  return ports.map(({ port }) => portValue(port));
}
