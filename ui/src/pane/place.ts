/**
 * Where in a YAML text the cursor is, told by indentation alone: the text need not be whole to be completed.
 *
 * Inside `{…}` and `[…]`, by the brackets (flow-place.ts).
 */
import { flowAt } from "./flow-place";

export interface TextPlace {
  kind: string | null;
  /** Keys and, for a list item, `[]`, from the document on. */
  path: string[];
  /** Writing a key (or the text of a list item), or the value of `key`. */
  on: "key" | "value";
  key: string | null;
  /** What of the word is there, and where it begins (offset). */
  word: string;
  from: number;
  /** Column of the word, from 0. */
  column: number;
  /** Keys that the same map has before the cursor. */
  present: string[];
  /** Within brackets: the quote of keys, and whether the word's own is there already. */
  flow: { quote: string; quoted: boolean } | null;
}

interface Line {
  dashes: number[];
  column: number;
  content: string;
}

const KEY = /^("[^"]*"|'[^']*'|[^\s:#"'{[\]-][^:]*?)\s*:(?:\s+(.*)|)$/;

export function placeAt(text: string, offset: number): TextPlace | null {
  const above = text
    .slice(0, text.lastIndexOf("\n", offset - 1) + 1)
    .split("\n")
    .slice(0, -1);
  const cut = above.findLastIndex((one) => /^---(\s|$)/.test(one));
  const from = above.slice(0, cut + 1).join("\n").length;
  const kind = kindOf(text.slice(from).split(/\n---(?:\s|$)/)[0] ?? "");
  const flow = flowAt(text, from, offset);
  if (flow === null) return blockPlace(text, offset, above.slice(cut + 1), kind);
  const lines = text
    .slice(from, text.lastIndexOf("\n", flow.open - 1) + 1)
    .split("\n")
    .slice(0, -1);
  const outer = blockPlace(text, flow.open, lines, kind);
  if (outer === null) return null;
  const { path, on, key, word, present, quote, quoted } = flow;
  const base = outer.key === null ? outer.path : [...outer.path, outer.key];
  const place = { kind, path: [...base, ...path], on, key, word, from: offset - word.length, present };
  return { ...place, column: outer.column, flow: { quote, quoted } };
}

function kindOf(document: string): string | null {
  const found =
    /^kind:\s*["']?(\w+)/m.exec(document) ?? /[{,]\s*["']?kind["']?\s*:\s*["']?(\w+)/.exec(document);
  return found?.[1] ?? null;
}

/** By indentation; `above` are the lines of the same document. */
function blockPlace(text: string, offset: number, above: string[], kind: string | null): TextPlace | null {
  const line = lineOf(text.slice(text.lastIndexOf("\n", offset - 1) + 1, offset));
  if (line.content.startsWith("#")) return null;
  const lines = above.map(lineOf);
  const found = KEY.exec(line.content);
  const value = found !== null && /:\s/.test(line.content);
  const word = value ? (found[2] ?? "") : line.content;
  if (/[{}[\],]/.test(line.content) || (!value && /[:\s]/.test(word))) return null;
  const path: string[] = [];
  const present: string[] = [];
  let column = line.column;
  let item = false; // what stands at `column` is a dash, not a key
  const dashes = (all: number[]) => {
    for (const dash of all.toReversed()) {
      if (dash < column) {
        path.unshift("[]");
        column = dash;
        item = true;
      }
    }
  };
  dashes(line.dashes);
  for (const one of lines.toReversed()) {
    if (one.content === "" || one.content.startsWith("#")) {
      if (one.dashes.length === 0) continue;
    }
    const key = KEY.exec(one.content);
    const name = key?.[1]?.replace(/^["']|["']$/g, "") ?? "";
    if (key !== null && (one.column < column || (item && one.column === column))) {
      if ((key[2] ?? "").replace(/#.*/, "").trim() === "") {
        path.unshift(name);
        column = one.column;
        item = false;
      }
    } else if (key !== null && one.column === column && !item && path.length === 0) present.push(name);
    else if (key !== null && one.column === line.column && path[0] === "[]" && path.length === 1) {
      if (one.column > column && one.dashes.length === 0) present.push(name);
    }
    dashes(one.dashes);
    if (column === 0 && !item) break;
  }
  const key = value ? (found[1]?.replace(/^["']|["']$/g, "") ?? null) : null;
  return {
    kind,
    path,
    on: value ? "value" : "key",
    key,
    word,
    from: offset - word.length,
    column: line.column,
    present,
    flow: null,
  };
}

function lineOf(text: string): Line {
  const [, lead = "", marks = "", content = ""] = /^(\s*)((?:-\s+|-$)*)(.*)$/.exec(text) ?? [];
  const dashes: number[] = [];
  for (let at = 0; at < marks.length; at++) if (marks[at] === "-") dashes.push(lead.length + at);
  return { dashes, column: lead.length + marks.length, content: content.trimEnd() === "" ? "" : content };
}
