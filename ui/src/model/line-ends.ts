/** Line ends of a text: new lines end as those around them do. */

/** `piece`, whose lines end in `\n`, with the line ends that `text` has at an offset. */
export function withLineEnds(piece: string, text: string, offset: number): string {
  return piece.includes("\n") && lineEndAt(text, offset) === "\r\n" ? piece.replaceAll("\n", "\r\n") : piece;
}

/** How the line of an offset ends; the last line has no end and goes by the one before it. */
function lineEndAt(text: string, offset: number): string {
  const after = text.indexOf("\n", offset);
  const at = after < 0 ? text.lastIndexOf("\n", offset - 1) : after;
  return at > 0 && text[at - 1] === "\r" ? "\r\n" : "\n";
}
