/**
 * Values as YAML that people would write: no anchors, no folding, quotes where a word would be read as something else.
 *
 * Invariant: every reader, the server's first, reads back the value that was written.
 */
import { isObject, type Json } from "./value";
import { isAmbiguous } from "./yaml-words";

export interface FlowStyle {
  /** Blanks inside braces and brackets. */
  padded: boolean;
}

const PLAIN = /^[\p{L}\p{N}_./](?:[\p{L}\p{N}_./+=@()'"!?;*&$~<>|%, -]|:(?! |$))*$/u;
const PLAIN_IN_FLOW = /^[\p{L}\p{N}_./](?:[\p{L}\p{N}_./+=@()'"!;*&$~<>|% -])*$/u;
/** Characters that YAML has only as escapes, and line ends of old. */
const ESCAPED = /[\u007f-\u009f\u2028\u2029\ufeff\ufffe\uffff]/g;
/** What no line of a block text may have. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
export const UNPRINTABLE = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\u2028\u2029\ufffe\uffff]/;

/** Lines, of a value that begins where they do. `indented`: lists stand further right than their key. */
export function blockLines(value: Json, indented: boolean): string[] {
  if (Array.isArray(value) && value.length > 0) {
    return value.flatMap((one) => hung("- ", blockLines(one, indented)));
  }
  if (isObject(value) && Object.keys(value).length > 0) {
    return Object.entries(value).flatMap(([key, member]) => {
      const word = scalarText(key);
      if (!isNested(member)) return hung(`${word}: `, blockLines(member, indented), "  ");
      const inner = Array.isArray(member) && !indented ? "" : "  ";
      return [`${word}:`, ...blockLines(member, indented).map((line) => (line === "" ? "" : inner + line))];
    });
  }
  if (typeof value === "string") return literalLines(value) ?? [scalarText(value)];
  return [JSON.stringify(value)];
}

/** On one line, as it stands within brackets. */
export function flowText(value: Json, style: FlowStyle = { padded: false }): string {
  const pad = style.padded ? " " : "";
  if (Array.isArray(value)) {
    return value.length === 0 ? "[]" : `[${pad}${value.map((one) => flowText(one, style)).join(", ")}${pad}]`;
  }
  if (isObject(value)) {
    const pairs = flowPairs(value, style);
    return pairs === "" ? "{}" : `{${pad}${pairs}${pad}}`;
  }
  return typeof value === "string" ? scalarText(value, true) : JSON.stringify(value);
}

/** What stands between the braces. */
export function flowPairs(value: { [key: string]: Json }, style: FlowStyle): string {
  return Object.entries(value)
    .map(([key, member]) => `${scalarText(key, true)}: ${flowText(member, style)}`)
    .join(", ");
}

/** One word; within brackets more of them need quotes. */
export function scalarText(text: string, within = false): string {
  const plain = (within ? PLAIN_IN_FLOW : PLAIN).test(text);
  if (plain && !text.endsWith(" ") && !isAmbiguous(text) && !text.startsWith("...")) return text;
  return jsonText(text);
}

/** As JSON that is YAML too: in double quotes, on one line where there is no `indent`. */
export function jsonText(value: Json, indent = ""): string {
  return JSON.stringify(value, null, indent).replace(
    ESCAPED,
    (one) => `\\u${one.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

export function isNested(value: Json): boolean {
  return typeof value === "object" && value !== null && Object.keys(value).length > 0;
}

/** Several lines as a block text; null where its layout could not say all of them, or not at the end of a file. */
function literalLines(text: string): string[] | null {
  if (!text.includes("\n") || /^\s|\s$|\r/.test(text) || UNPRINTABLE.test(text)) return null;
  return ["|-", ...text.split("\n")]; // who hangs it below something indents it
}

/** Lines with `head` before the first and as much room before the others. */
function hung(head: string, lines: string[], room = " ".repeat(head.length)): string[] {
  return lines.map((line, at) => (at === 0 ? head + line : line === "" ? "" : room + line));
}
