/** A unified diff as lines with a kind, for colour and for a sign that is not colour alone. */

export interface DiffLine {
  readonly kind: "added" | "removed" | "same" | "head";
  readonly text: string;
}

export function diffLines(diff: string): DiffLine[] {
  return diff
    .replace(/\n$/, "")
    .split("\n")
    .map((text) => {
      if (/^(\+\+\+|---|@@|diff )/.test(text)) return { kind: "head", text };
      if (text.startsWith("+")) return { kind: "added", text: text.slice(1) };
      if (text.startsWith("-")) return { kind: "removed", text: text.slice(1) };
      return { kind: "same", text: text.replace(/^ /, "") };
    });
}
