/**
 * Where in brackets a place is: `{a: [{b: |`. Told by what stands before it alone, so the text need not be whole.
 */
export interface FlowPlace {
  /** Offset of the outermost bracket that is open. */
  open: number;
  /** Keys and, for a list, `[]`, from that bracket on. */
  path: string[];
  on: "key" | "value";
  /** Whose value is written; null for an item of a list. */
  key: string | null;
  word: string;
  /** Keys that the same map has before. */
  present: string[];
  /** What the word, or a key before it, is quoted with. */
  quote: string;
  /** The word's own quote is there already. */
  quoted: boolean;
}

interface Frame {
  open: number;
  list: boolean;
  keys: string[];
  key: string | null;
}

/** What may stand before a value that begins there, on its line. */
const BEFORE_VALUE = /^(?:\s*|.*[:?-]\s+)(?:[&!]\S*\s+)*$/;

/** Null outside of brackets. `from` is where the document begins. */
export function flowAt(text: string, from: number, offset: number): FlowPlace | null {
  const frames: Frame[] = [];
  let start: number | null = null; // of the word, or of the key, that is being read
  let quote = "";
  let at = from;
  while (at < offset) {
    const char = text[at] ?? "";
    const frame = frames.at(-1);
    const begins = () => (frame === undefined ? beginsValue(text, at) : start === null);
    if (char === "#" && /\s/.test(text[at - 1] ?? "\n")) {
      at = indexOr(text, "\n", at, offset);
      if (at >= offset) return null;
      continue;
    }
    if ((char === '"' || char === "'") && begins()) {
      start = at;
      at = closing(text, at, offset);
      if (frame === undefined) start = null;
      continue;
    }
    if ((char === "{" || char === "[") && begins()) {
      frames.push({ open: at, list: char === "[", keys: [], key: null });
      start = null;
    } else if (frame !== undefined && (char === "}" || char === "]")) {
      frames.pop();
      start = null;
    } else if (frame !== undefined && char === ",") {
      frame.key = null;
      start = null;
    } else if (frame !== undefined && !frame.list && char === ":" && isColon(text, at)) {
      const key = text.slice(start ?? at, at);
      if (/^["']/.test(key)) quote = key[0] ?? "";
      frame.key = bare(key);
      frame.keys.push(frame.key);
      start = null;
    } else if (frame !== undefined && start === null && !/\s/.test(char)) start = at;
    at++;
  }
  return placeIn(frames, text.slice(start ?? offset, offset), quote);
}

function placeIn(frames: Frame[], written: string, quote: string): FlowPlace | null {
  const [outer] = frames;
  const inner = frames.at(-1);
  if (outer === undefined || inner === undefined) return null;
  const quoted = /^["']/.test(written);
  const above = frames.slice(0, -1).map((one) => (one.list ? "[]" : (one.key ?? "")));
  return {
    open: outer.open,
    path: inner.list ? [...above, "[]"] : above,
    on: inner.list || inner.key !== null ? "value" : "key",
    key: inner.key,
    word: quoted ? written.slice(1) : written,
    present: inner.keys,
    quote: quoted ? (written[0] ?? "") : quote,
    quoted,
  };
}

function beginsValue(text: string, at: number): boolean {
  return BEFORE_VALUE.test(text.slice(text.lastIndexOf("\n", at - 1) + 1, at));
}

/** A colon after a quoted key, or before a blank. */
function isColon(text: string, at: number): boolean {
  return /[\s,{}[\]]/.test(text[at + 1] ?? " ") || /["']/.test(text[at - 1] ?? "");
}

/** Behind the quote that closes the one at `at`, or `offset`. */
function closing(text: string, at: number, offset: number): number {
  const quote = text[at];
  for (let end = at + 1; end < offset; end++) {
    if (text[end] === "\\" && quote === '"') end++;
    else if (text[end] === quote) return end + 1;
  }
  return offset;
}

function indexOr(text: string, what: string, from: number, otherwise: number): number {
  const found = text.indexOf(what, from);
  return found < 0 ? otherwise : found;
}

function bare(key: string): string {
  return key.trim().replace(/^["']|["']$/g, "");
}
