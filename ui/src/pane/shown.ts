/**
 * A file's text and what CodeMirror shows of it, which knows one line end and no mark of UTF-8 before the text.
 *
 * Invariant: typing changes what was typed; all other lines end as they did.
 */
import { withLineEnds } from "../model/line-ends";
import { changeBetween } from "./sync";

const MARK = "\ufeff";

export function shownText(text: string): string {
  const body = text.startsWith(MARK) ? text.slice(1) : text;
  return body.includes("\r") ? body.replace(/\r\n?/g, "\n") : body;
}

/** The file's text after typing made `shown` of what is shown of `text`. */
export function typedInto(text: string, shown: string): string {
  const { from, to, insert } = changeBetween(shownText(text), shown);
  const start = offsetIn(text, from);
  return text.slice(0, start) + withLineEnds(insert, text, start) + text.slice(offsetIn(text, to));
}

function offsetIn(text: string, shown: number): number {
  let at = text.startsWith(MARK) ? 1 : 0;
  if (!text.includes("\r")) return at + shown;
  for (let left = shown; left > 0; left--) at += text.startsWith("\r\n", at) ? 2 : 1;
  return at;
}
