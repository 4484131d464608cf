/**
 * The value of a document, as the server has it: plain values, where nothing is shared.
 *
 * What an alias repeats is two things that look alike here, so an edit of one is no edit of the other.
 */
import type { Json } from "./value";
import {
  type Alias,
  type Doc,
  isAlias,
  isMap,
  isMergeKey,
  isNode,
  isScalar,
  isSeq,
  keyText,
  type Node,
  visit,
  type YAMLMap,
} from "./yaml";

const DEEPEST = 100; // as src/namewall/model/documents.py
const MOST_REPEATED = 100_000; // values that aliases may repeat

const values = new WeakMap<Doc, Json>();

/** Throws an Error that says why there is none. Nobody may change what it gives. */
export function treeOf(doc: Doc): Json {
  const known = values.get(doc);
  if (known !== undefined) return known;
  const value = new Tree(doc).of(doc.contents);
  values.set(doc, value);
  return value;
}

/** The node that each alias stands for: the last one before it with that anchor. */
export function aliasTargets(doc: Doc): Map<Alias, Node> {
  const anchored = new Map<string, Node>();
  const targets = new Map<Alias, Node>();
  visit(doc, (_key, node) => {
    if (isAlias(node)) {
      const target = anchored.get(node.source);
      if (target !== undefined) targets.set(node, target);
    } else if (isNode(node) && node.anchor !== undefined) anchored.set(node.anchor, node);
  });
  return targets;
}

class Tree {
  private readonly open = new Set<Node>();
  private aliases = 0;
  private repeated = 0;

  private targets: Map<Alias, Node> | null = null;

  constructor(private readonly doc: Doc) {}

  of(node: unknown): Json {
    if (this.aliases > 0 && ++this.repeated > MOST_REPEATED) {
      throw new Error(`aliases repeat more than ${MOST_REPEATED} values`);
    }
    if (isAlias(node)) return this.behind(node);
    if (isScalar(node)) return node.value as Json;
    if (!isMap(node) && !isSeq(node)) return null;
    if (this.open.size >= DEEPEST) throw new Error(`nested deeper than ${DEEPEST}`);
    this.open.add(node);
    const value = isSeq(node) ? node.items.map((one) => this.of(one)) : this.ofMap(node);
    this.open.delete(node);
    return value;
  }

  private behind(alias: Alias): Json {
    this.targets ??= aliasTargets(this.doc);
    const target = this.targets.get(alias);
    if (target === undefined) throw new Error(`alias \`${alias.source}\` is not defined`);
    if (this.open.has(target)) throw new Error(`alias \`${alias.source}\` refers to what it is part of`);
    this.aliases++;
    const value = this.of(target);
    this.aliases--;
    return value;
  }

  /** What the map says itself stands; of several merged ones the first. */
  private ofMap(map: YAMLMap): Json {
    const own: [string, Json][] = [];
    const merged: [string, Json][] = [];
    for (const { key, value } of map.items) {
      if (isMergeKey(key)) {
        const given = this.of(value);
        merged.push(...(Array.isArray(given) ? given : [given]).flatMap(entriesToMerge));
        continue;
      }
      const name = keyText(key);
      if (name === null) throw new Error("a key must be a plain value");
      own.push([name, this.of(value)]);
    }
    return Object.fromEntries([...merged.toReversed(), ...own]);
  }
}

function entriesToMerge(given: Json): [string, Json][] {
  if (typeof given !== "object" || given === null || Array.isArray(given)) {
    throw new Error("what `<<` merges must be a map, or a list of maps");
  }
  return Object.entries(given);
}
