/**
 * The YAML of a file as a text with places: documents, nodes and where they stand.
 *
 * Read once per text (the last few are kept). Lines and columns begin with 1, offsets with 0.
 */
import { treeOf } from "./tree";
import type { Path } from "./value";
import {
  type Doc,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  keyText,
  LineCounter,
  type Node,
  type Pair,
  parseDocuments,
  type YAMLMap,
} from "./yaml";

export interface SyntaxProblem {
  line: number;
  column: number;
  message: string;
}

export interface Source {
  text: string;
  docs: readonly Doc[];
  problems: readonly SyntaxProblem[];
  /** The line of an offset. */
  line(offset: number): number;
}

const KEPT = 8;
const cache = new Map<string, Source>();

export function readSource(text: string): Source {
  const known = cache.get(text);
  if (known !== undefined) return known;
  const source = parsed(text);
  if (cache.size >= KEPT) cache.delete(cache.keys().next().value ?? "");
  cache.set(text, source);
  return source;
}

/** They end a line for kubectl and the server, not for the library here: what they begin would not be drawn. */
const ODD_END = /[\u0085\u2028\u2029]|\r(?!\n)/;

function parsed(text: string): Source {
  const odd = ODD_END.exec(text);
  if (odd !== null) {
    const before = text.slice(0, odd.index).split(/\r\n?|\n/);
    const code = odd[0].charCodeAt(0).toString(16).toUpperCase().padStart(4, "0");
    const message = `the character U+${code} ends a line, though it does not look so: write a line end in its place`;
    const column = (before.at(-1)?.length ?? 0) + 1;
    return { text, docs: [], problems: [{ line: before.length, column, message }], line: () => 1 };
  }
  const lines = new LineCounter();
  const line = (offset: number) => lines.linePos(offset).line;
  try {
    const docs = parseDocuments(text, lines);
    const problems = docs.flatMap(wrongOf).map(({ offset, message }) => {
      const { line, col } = lines.linePos(offset);
      return { line, column: col, message };
    });
    return { text, docs, problems, line };
  } catch {
    // Nested beyond the stack: no policy is.
    const problem = { line: 1, column: 1, message: "nested too deeply to be read" };
    return { text, docs: [], problems: [problem], line: () => 1 };
  }
}

/** What is no YAML; where it is, what has no value: an alias of itself, a key that is a list, a tag that nobody knows. */
function wrongOf(doc: Doc): { offset: number; message: string }[] {
  const unknown = doc.warnings.filter((one) => one.code === "TAG_RESOLVE_FAILED");
  const wrong = [...doc.errors, ...unknown].map((one) => ({ offset: one.pos[0], message: one.message }));
  if (wrong.length > 0) return wrong;
  try {
    treeOf(doc);
    return [];
  } catch (error) {
    return [{ offset: doc.contents?.range[0] ?? doc.range[0], message: (error as Error).message }];
  }
}

/** The pair of a key as JSON has it. */
export function pairOf(map: YAMLMap, key: string | number): Pair | null {
  return map.items.find((pair) => keyText(pair.key) === String(key)) ?? null;
}

/** The node at a path, through collections alone: null behind an alias, and where there is none. */
export function nodeAt(doc: Doc, path: Path): Node | null {
  let node: unknown = doc.contents;
  for (const key of path) {
    if (isMap(node)) {
      node = pairOf(node, key)?.value ?? null;
    } else if (isSeq(node) && typeof key === "number") {
      node = node.items[key] ?? null;
    } else {
      return null;
    }
  }
  return isMap(node) || isSeq(node) || isScalar(node) || isAlias(node) ? node : null;
}

/** The line where a path begins, else that of the nearest above it. */
export function lineAt(source: Source, doc: number, path: Path): number {
  const document = source.docs[doc];
  if (document === undefined) return 1;
  for (let length = path.length; length >= 0; length--) {
    const start = startOf(document, path.slice(0, length));
    if (start !== null) return source.line(start);
  }
  return 1;
}

/** Offset of a path's key (in a map) or value (in a list). */
function startOf(doc: Doc, path: Path): number | null {
  const key = path.at(-1);
  const parent = key === undefined ? null : nodeAt(doc, path.slice(0, -1));
  if (isMap(parent)) {
    const pair = pairOf(parent, key ?? "");
    return isScalar(pair?.key) ? (pair.key.range?.[0] ?? null) : null;
  }
  return nodeAt(doc, path)?.range?.[0] ?? null;
}

/** A path in words, as the server writes it: `spec.egress[1].toPorts[0]`. */
export function pathText(path: Path): string {
  let text = "";
  for (const key of path) {
    if (typeof key === "number") text += `[${key}]`;
    else if (/^[A-Za-z_][\w-]*$/.test(key)) text += text === "" ? key : `.${key}`;
    else text += `[${JSON.stringify(key)}]`;
  }
  return text;
}
