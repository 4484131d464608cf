/**
 * What is written once and stands in several places: an anchor and its aliases.
 *
 * An edit is of one place. So it is refused where it would change another one too, or what another one needs.
 */
import { pairOf, pathText } from "./source";
import { aliasTargets } from "./tree";
import type { Edit } from "./value";
import {
  type Alias,
  type Doc,
  isAlias,
  isMap,
  isMergeKey,
  isNode,
  isSeq,
  type Node,
  type Pair,
  visit,
  type YAMLMap,
} from "./yaml";

/** Why the edit cannot be one of one place, as a sentence; null if it can. */
export function sharedBy(doc: Doc, edit: Edit): string | null {
  const targets = aliasTargets(doc);
  if (targets.size === 0) return null;
  const shared = new Map<Node, Alias[]>();
  for (const [alias, target] of targets) shared.set(target, [...(shared.get(target) ?? []), alias]);
  const refused = (of: Alias | Node | undefined): string => {
    const name = isAlias(of) ? of.source : (of?.anchor ?? "");
    return `\`${pathText(edit.path)}\` is written once for several places (anchor \`&${name}\`): change it in the text`;
  };

  let node: unknown = doc.contents;
  let pair: Pair | null = null;
  for (const [at, key] of edit.path.entries()) {
    if (isShared(node, shared)) return refused(node);
    pair = isMap(node) ? pairOf(node, key) : null;
    if (isMap(node) && pair === null) {
      // A key beside those that are merged says what stands; below it, or without it, there is nothing of its own.
      const own = at === edit.path.length - 1 && edit.op === "set";
      const merged = own ? null : mergedBy(node, String(key), targets);
      return merged === null ? null : refused(merged);
    }
    node = pair?.value ?? (isSeq(node) && typeof key === "number" ? node.items[key] : null);
  }
  if (edit.op === "append") return isShared(node, shared) ? refused(node) : null;
  const gone = edit.op === "rename" ? [pair?.key] : edit.op === "remove" ? [pair?.key, node] : [node];
  const leaving = new Set(gone.flatMap(nodesIn));
  const needed = [...leaving].find((one) => shared.get(one)?.some((alias) => !leaving.has(alias)));
  return needed === undefined ? null : refused(needed);
}

function isShared(node: unknown, shared: Map<Node, Alias[]>): node is Node {
  return isAlias(node) || (isNode(node) && shared.has(node));
}

function nodesIn(root: unknown): Node[] {
  const found: Node[] = [];
  if (isNode(root)) visit(root, { Node: (_key, node) => void found.push(node) });
  return found;
}

/** The alias whose map gives this one a key. */
function mergedBy(map: YAMLMap, key: string, targets: Map<Alias, Node>): Alias | Node | null {
  for (const { key: merge, value } of map.items) {
    if (!isMergeKey(merge)) continue;
    for (const one of isSeq(value) ? value.items : [value]) {
      const source = isAlias(one) ? targets.get(one) : one;
      if (!isMap(source)) continue;
      if (pairOf(source, key) !== null || mergedBy(source, key, targets) !== null) {
        return one as Alias | Node;
      }
    }
  }
  return null;
}
