/**
 * Edits of one value in a YAML text that leave every other byte as it was.
 *
 * An edit is a splice at the source range of a node, in the style around it (block or flow, indent, line ends, JSON).
 * Invariant: the new text reads as the old value with this edit and nothing else; a splice that does not (odd
 * layouts) is not taken, and the document is written anew: JSON by us, YAML by the library, comments kept. What
 * neither can do, and what is written once for several places (anchors.ts), is an EditError.
 */
import { sharedBy } from "./anchors";
import { withLineEnds } from "./line-ends";
import { nodeAt, pairOf, readSource } from "./source";
import { treeOf } from "./tree";
import { type Edit, equal, isObject, type Json, type Path, withEdit } from "./value";
import {
  type Doc,
  isAlias,
  isCollection,
  isMap,
  isScalar,
  isSeq,
  keyText,
  type Pair,
  type YAMLMap,
  type YAMLSeq,
} from "./yaml";
import {
  blockLines,
  type FlowStyle,
  flowPairs,
  flowText,
  isNested,
  jsonText,
  scalarText,
  UNPRINTABLE,
} from "./yaml-writing";

export class EditError extends Error {
  override name = "EditError";
}

/** The text after the edits, one after the other (each path is meant in the text that the one before made). */
export function applyEdits(text: string, doc: number, edits: readonly Edit[]): string {
  return edits.reduce((before, edit) => applyEdit(before, doc, edit), text);
}

function applyEdit(text: string, at: number, edit: Edit): string {
  const doc = readSource(text).docs[at];
  if (doc === undefined) throw new EditError("there is no such document any more");
  if (doc.errors.length > 0) throw new EditError("the YAML has an error: mend it in the text first");
  const wanted = withEdit(readValue(doc), edit);
  const shared = sharedBy(doc, edit);
  if (shared !== null) throw new EditError(shared);
  const spliced = new Splicer(text, doc).apply(edit);
  if (spliced !== null && reads(spliced, at, wanted, text)) return spliced;
  const rewritten =
    jsonIndent(text, doc) === null ? rewrite(text, doc, edit) : rewriteJson(text, doc, wanted);
  if (rewritten !== null && reads(rewritten, at, wanted, text)) return rewritten;
  throw new EditError(`\`${edit.path.join(".")}\` is written in a way that only the text can change`);
}

function readValue(doc: Doc): Json {
  try {
    return treeOf(doc);
  } catch (error) {
    throw new EditError(`the YAML has an error: ${(error as Error).message}`);
  }
}

/** Does the new text say `wanted` in document `at`, and the same as before in all others? */
function reads(text: string, at: number, wanted: Json, before: string): boolean {
  const now = readSource(text);
  const then = readSource(before);
  if (now.docs.length !== then.docs.length || now.problems.length > then.problems.length) return false;
  if (UNPRINTABLE.test(text) && !UNPRINTABLE.test(before)) return false;
  try {
    return now.docs.every((doc, index) => {
      const old = then.docs[index];
      if (old === undefined || (jsonIndent(before, old) !== null && jsonIndent(text, doc) === null))
        return false;
      return equal(treeOf(doc), index === at ? wanted : treeOf(old));
    });
  } catch {
    return false; // an alias of what is gone
  }
}

/** The indent of a document that is JSON, empty for one on a line; null for one that is none. */
function jsonIndent(text: string, doc: Doc): string | null {
  const { contents } = doc;
  if (!isCollection(contents) || !contents.flow || !contents.range) return null;
  const source = text.slice(contents.range[0], contents.range[1]);
  try {
    JSON.parse(source);
  } catch {
    return null;
  }
  return /^[{[]\r?\n([ \t]*)/.exec(source)?.[1] ?? "";
}

function rewriteJson(text: string, doc: Doc, wanted: Json): string | null {
  const range = doc.contents?.range;
  if (!range) return null;
  const whole = jsonText(wanted, jsonIndent(text, doc) ?? "");
  return text.slice(0, range[0]) + withLineEnds(whole, text, range[0]) + text.slice(range[1]);
}

/** The library's way: comments stay, layout and quotes may change. Null where it cannot. */
function rewrite(text: string, read: Doc, edit: Edit): string | null {
  const doc = read.clone() as Doc;
  const made = (value: Json) => doc.createNode(value, { aliasDuplicateObjects: false });
  const path = [...edit.path];
  try {
    if (edit.op === "set") doc.setIn(path, made(edit.value));
    else if (edit.op === "remove") doc.deleteIn(path);
    else if (edit.op === "append") {
      if (isSeq(doc.getIn(path, true))) doc.addIn(path, made(edit.value));
      else doc.setIn(path, made([edit.value]));
    } else {
      const map = doc.getIn(path.slice(0, -1), true);
      const pair = isMap(map) ? pairOf(map, path.at(-1) ?? "") : null;
      if (pair === null) return null;
      pair.key = made(edit.key);
    }
    const whole = withLineEnds(doc.toString({ lineWidth: 0 }), text, doc.range[0]);
    return text.slice(0, doc.range[0]) + whole + text.slice(doc.range[2]);
  } catch {
    return null;
  }
}

class Splicer {
  private readonly json: string | null;

  constructor(
    private readonly text: string,
    private readonly doc: Doc,
  ) {
    this.json = jsonIndent(text, doc);
  }

  /** The new text, or null where this layout is not one we splice. */
  apply(edit: Edit): string | null {
    switch (edit.op) {
      case "set":
        return this.set(edit.path, edit.value);
      case "append":
        return this.append(edit.path, edit.value);
      case "remove":
        return this.remove(edit.path);
      case "rename":
        return this.rename(edit.path, edit.key);
    }
  }

  private set(path: Path, value: Json): string | null {
    const key = path.at(-1);
    if (key === undefined) return null;
    const above = path.slice(0, -1);
    const parent = nodeAt(this.doc, above);
    if (isMap(parent)) {
      const pair = pairOf(parent, key);
      if (pair !== null) return this.fill(parent, pair, value);
      return this.addPair(above, parent, String(key), value);
    }
    if (isSeq(parent)) {
      return typeof key === "number" && key < parent.items.length ? this.fill(parent, key, value) : null;
    }
    // Nothing there, or an empty value: the parent is made with the key in it.
    if (typeof key === "number" || (parent !== null && !isEmpty(parent))) return null;
    return this.set(above, { [key]: value });
  }

  private append(path: Path, value: Json): string | null {
    const seq = nodeAt(this.doc, path);
    if (!isSeq(seq) || seq.items.length === 0) return this.set(path, [value]);
    const last = seq.items.at(-1);
    if (seq.flow) {
      const end = this.end(last);
      const start = this.start(seq.items[0]);
      if (end === null || start === null) return null;
      return this.spliced(end, end, this.comma(seq, start) + this.flow(value, this.margin(start)));
    }
    const dash = this.dash(seq, 0);
    if (dash === null) return null;
    const at = this.lineEnd(this.itemEnd(seq, seq.items.length - 1));
    const column = this.column(dash);
    return this.spliced(at, at, `\n${" ".repeat(column)}- ${this.block(value, column + 2)}`);
  }

  private addPair(path: Path, map: YAMLMap, key: string, value: Json): string | null {
    if (map.items.length === 0) return this.set(path, { [key]: value });
    const last = map.items.length - 1;
    const end = this.pairEnd(map, last);
    if (end === null) return null;
    const first = map.items[0]?.key;
    if (map.flow) {
      const start = this.start(first);
      return start === null
        ? null
        : this.spliced(end, end, this.comma(map, start) + this.pair(key, value, start));
    }
    if (!isScalar(first) || !first.range) return null;
    const column = this.column(first.range[0]);
    const at = this.lineEnd(end);
    return this.spliced(at, at, `\n${" ".repeat(column)}${this.block({ [key]: value }, column)}`);
  }

  /** Another value for what a pair or a list item holds. */
  private fill(parent: YAMLMap | YAMLSeq, at: Pair | number, value: Json): string | null {
    const old = typeof at === "number" ? (parent as YAMLSeq).items[at] : at.value;
    const plain =
      isAlias(old) ||
      (isScalar(old) && old.range && old.range[0] < old.range[1] && !/^BLOCK/.test(old.type ?? ""));
    if (parent.flow) {
      const range = (old as { range?: [number, number, number] } | null)?.range;
      return range && (plain || isCollection(old))
        ? this.spliced(range[0], range[1], this.flow(value, this.margin(range[0])))
        : null;
    }
    if (plain && old.range && !isNested(value)) {
      return this.spliced(old.range[0], old.range[1], quoted(value, isScalar(old) ? old.type : null));
    }
    const mark = typeof at === "number" ? this.dash(parent as YAMLSeq, at) : this.colon(at);
    if (mark === null) return null;
    const from = mark + 1;
    const to = Math.max(from, this.end(old) ?? from);
    if (typeof at === "number") {
      const column = this.column(mark);
      return this.spliced(from, to, ` ${this.block(value, column + 2)}`);
    }
    if (!isScalar(at.key) || !at.key.range) return null;
    const column = this.column(at.key.range[0]);
    if (!isNested(value)) return this.spliced(from, to, ` ${this.block(value, column + 2)}`);
    const inner = Array.isArray(value) && !this.indentsLists() ? column : column + 2;
    return this.spliced(from, to, `\n${" ".repeat(inner)}${this.block(value, inner)}`);
  }

  private remove(path: Path): string | null {
    const key = path.at(-1);
    if (key === undefined) return null;
    const parent = nodeAt(this.doc, path.slice(0, -1));
    if (isSeq(parent) && typeof key === "number" && key < parent.items.length) {
      if (parent.items.length === 1) return this.set(path.slice(0, -1), []);
      return this.cut(
        parent,
        key,
        (at) => (parent.flow ? this.start(parent.items[at]) : this.dash(parent, at)),
        (at) => this.itemEnd(parent, at),
      );
    }
    if (!isMap(parent)) return null;
    const at = parent.items.findIndex((pair) => keyText(pair.key) === String(key));
    if (at < 0) return null;
    if (parent.items.length === 1) return this.set(path.slice(0, -1), {});
    return this.cut(
      parent,
      at,
      (index) => this.start(parent.items[index]?.key),
      (index) => this.pairEnd(parent, index),
    );
  }

  /** Take out the item `at` of a collection, given where its items begin and end. */
  private cut(
    parent: YAMLMap | YAMLSeq,
    at: number,
    begin: (at: number) => number | null,
    finish: (at: number) => number | null,
  ): string | null {
    const start = begin(at);
    const end = finish(at);
    const next = at + 1 < parent.items.length ? begin(at + 1) : null;
    if (start === null || end === null) return null;
    if (parent.flow) {
      if (next !== null && at === 0) return this.spliced(start, next, "");
      const before = finish(at - 1);
      if (before === null) return null;
      // Behind the comma may be a comment of the item before, which stays with its comma.
      if (this.text.slice(before, start).includes("#")) return this.cutFlowLine(start, end);
      return this.spliced(before, end, "");
    }
    const lineStart = this.lineStart(start);
    const after = Math.min(this.text.length, this.afterLine(end));
    if (this.text.slice(lineStart, start).trim() === "") {
      return this.spliced(this.withCommentsAbove(lineStart, start - lineStart), after, "");
    }
    // On the line of the dash above: what follows moves up to it.
    if (next === null) return null;
    const between = this.text.slice(after, next);
    return this.spliced(start, after + (between.length - between.trimStart().length), "");
  }

  /** Take out what begins a line within brackets, with its comma, and its line where nothing else is on it. */
  private cutFlowLine(start: number, end: number): string | null {
    const lineStart = this.lineStart(start);
    if (this.text.slice(lineStart, start).trim() !== "") return null;
    const [comma = ""] = /^\s*,/.exec(this.text.slice(end)) ?? [];
    const to = end + comma.length;
    const rest = this.text.slice(to, this.lineEnd(to));
    if (rest.trim() !== "" && !rest.trim().startsWith("#")) return this.spliced(start, to, "");
    return this.spliced(this.withCommentsAbove(lineStart, start - lineStart), this.afterLine(to), "");
  }

  private rename(path: Path, key: string): string | null {
    const parent = nodeAt(this.doc, path.slice(0, -1));
    if (!isMap(parent)) return null;
    const old = pairOf(parent, path.at(-1) ?? "")?.key;
    if (!isScalar(old) || !old.range) return null;
    return this.spliced(old.range[0], old.range[1], quoted(key, old.type, parent.flow === true));
  }

  private spliced(from: number, to: number, by: string): string {
    return this.text.slice(0, from) + withLineEnds(by, this.text, from) + this.text.slice(to);
  }

  /** The value in block style, whose first line stands at `column`. */
  private block(value: Json, column: number): string {
    return blockLines(value, this.indentsLists())
      .map((line, at) => (at === 0 || line === "" ? line : " ".repeat(column) + line))
      .join("\n");
  }

  /** The value within brackets: on one line, but in JSON of several lines, where further ones stand at `margin`. */
  private flow(value: Json, margin: string): string {
    if (this.json !== null) return this.jsonValue(value, margin);
    return flowText(value, this.flowStyle());
  }

  /** A pair within braces, beside the one that begins at `start`. */
  private pair(key: string, value: Json, start: number): string {
    if (this.json === null) return flowPairs({ [key]: value }, this.flowStyle());
    return this.jsonPair(key, value, this.margin(start));
  }

  private jsonValue(value: Json, margin: string): string {
    if (this.json) return jsonText(value, this.json).replaceAll("\n", `\n${margin}`);
    if (Array.isArray(value))
      return `[${value.map((one) => this.jsonValue(one, "")).join(`,${this.gap()}`)}]`;
    if (!isObject(value)) return jsonText(value);
    const pairs = Object.entries(value).map(([key, one]) => this.jsonPair(key, one, ""));
    return `{${pairs.join(`,${this.gap()}`)}}`;
  }

  private jsonPair(key: string, value: Json, margin: string): string {
    return `${jsonText(key)}:${this.gap()}${this.jsonValue(value, margin)}`;
  }

  /** What stands between items: the next one begins below the first where they have lines of their own. */
  private comma(parent: YAMLMap | YAMLSeq, first: number): string {
    const open = this.text.slice(this.start(parent) ?? first, first);
    if (open.includes("\n")) return `,\n${this.margin(first)}`;
    return this.json === null ? ", " : `,${this.gap()}`;
  }

  /** Blanks after commas and colons of JSON: none where its text has none. */
  private gap(): string {
    return this.json === "" && /^[{[]\s*"[^"]*":\S/.test(this.text.slice(this.start(this.doc.contents) ?? 0))
      ? ""
      : " ";
  }

  private flowStyle(): FlowStyle {
    return { padded: !/\{[^\s}]|\[[^\s\]]/.test(this.text) };
  }

  /** The blanks that the line of an offset begins with. */
  private margin(offset: number): string {
    return /^[ \t]*/.exec(this.text.slice(this.lineStart(offset), offset))?.[0] ?? "";
  }

  /** Do lists below a key stand further right than the key here? Where there is none: yes. */
  private indentsLists(): boolean {
    const found = /^( *)[^\s#-][^\n]*:[ \t]*(?:#[^\n]*)?\r?\n(?: *#[^\n]*\r?\n)*( *)- /m.exec(this.text);
    return found === null || (found[2] ?? "").length > (found[1] ?? "").length;
  }

  private column(offset: number): number {
    return offset - this.lineStart(offset);
  }

  /** Behind the mark of UTF-8, if there is one. */
  private lineStart(offset: number): number {
    const start = this.text.lastIndexOf("\n", offset - 1) + 1;
    return start === 0 && this.text.startsWith("\ufeff") ? 1 : start;
  }

  /** Offset of the end of the line, before its line break. */
  private lineEnd(offset: number | null): number {
    const found = this.text.indexOf("\n", offset ?? 0);
    if (found < 0) return this.text.length;
    return this.text[found - 1] === "\r" ? found - 1 : found;
  }

  private afterLine(offset: number): number {
    const found = this.text.indexOf("\n", offset);
    return found < 0 ? this.text.length : found + 1;
  }

  /** Comment lines right above, at the same column, belong to what is taken out. */
  private withCommentsAbove(lineStart: number, column: number): number {
    let start = lineStart;
    while (start > 0) {
      const above = this.text.lastIndexOf("\n", start - 2) + 1;
      const line = this.text.slice(above, start);
      if (!line.trimStart().startsWith("#") || line.search(/\S/) !== column) break;
      start = above;
    }
    return start;
  }

  private start(node: unknown): number | null {
    return (node as { range?: [number, number, number] } | null | undefined)?.range?.[0] ?? null;
  }

  /** Where a value's own characters end, without comments and blank lines after it; null if it has none. */
  private end(node: unknown): number | null {
    if (isCollection(node) && !node.flow) {
      const last = node.items.length - 1;
      if (last < 0) return null;
      return isMap(node) ? this.pairEnd(node, last) : this.itemEnd(node as YAMLSeq, last);
    }
    const range = (node as { range?: [number, number, number] } | null | undefined)?.range;
    if (!range || range[0] === range[1]) return null;
    let end = range[1];
    while (end > range[0] && /[\r\n]/.test(this.text[end - 1] ?? "")) end--;
    return end;
  }

  private itemEnd(seq: YAMLSeq, at: number): number | null {
    const end = this.end(seq.items[at]);
    if (end !== null || seq.flow) return end;
    const dash = this.dash(seq, at);
    return dash === null ? null : dash + 1;
  }

  private pairEnd(map: YAMLMap, at: number): number | null {
    const pair = map.items[at];
    if (pair === undefined) return null;
    const end = this.end(pair.value);
    if (end !== null) return end;
    const colon = this.colon(pair);
    return colon === null ? this.end(pair.key) : colon + 1;
  }

  /** Offset of the dash before a list item. */
  private dash(seq: YAMLSeq, at: number): number | null {
    const token = seq.srcToken;
    if (token?.type !== "block-seq") return null;
    return token.items[at]?.start.find((one) => one.type === "seq-item-ind")?.offset ?? null;
  }

  /** Offset of the colon after a key. */
  private colon(pair: Pair): number | null {
    return pair.srcToken?.sep?.find((one) => one.type === "map-value-ind")?.offset ?? null;
  }
}

function isEmpty(node: unknown): boolean {
  return isScalar(node) && node.value === null;
}

/** A scalar in the quotes that were there, where they fit. */
function quoted(value: Json, style: string | undefined | null, within = false): string {
  if (typeof value !== "string") return flowText(value);
  if (style === "QUOTE_SINGLE" && !/[\r\t\n\\]/.test(value) && !UNPRINTABLE.test(value)) {
    return `'${value.replaceAll("'", "''")}'`;
  }
  return style === "QUOTE_DOUBLE" ? jsonText(value) : scalarText(value, within);
}
