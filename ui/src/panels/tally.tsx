/** How many errors, warnings and notes: each with its sign, and none where there are none. */
import { severityOf } from "../pane/diagnostics";

const SIGNS = [
  { severity: "error", sign: "✕", look: "deny", words: ["error", "errors"] },
  { severity: "warning", sign: "!", look: "warn", words: ["warning", "warnings"] },
  { severity: "info", sign: "i", look: "", words: ["note", "notes"] },
] as const;

export function Tally({ of }: { of: readonly { severity: string }[] }) {
  return SIGNS.map(({ severity, sign, look, words }) => {
    const count = of.filter((one) => severityOf(one.severity) === severity).length;
    if (count === 0) return null;
    return (
      <span key={severity} className={`chip ${look}`}>
        <span aria-hidden="true">
          {sign} {count}
        </span>
        <span className="unseen">
          {count} {words[count === 1 ? 0 : 1]}
        </span>
      </span>
    );
  });
}
