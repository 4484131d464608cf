/** A verdict as a word and a sign; colour only repeats them. */

import type { Verdict } from "./model/flow";

export const VERDICT_WORDS: Readonly<Record<Verdict, { word: string; sign: string; long: string }>> = {
  forwarded: { word: "Forwarded", sign: "✓", long: "It passed." },
  audit: {
    word: "Audit",
    sign: "◐",
    long: "It passed only because a policy is in audit: enforced, it would be dropped.",
  },
  dropped: { word: "Dropped", sign: "✕", long: "It was dropped." },
};

export function VerdictChip({ verdict }: { verdict: Verdict }) {
  const { word, sign, long } = VERDICT_WORDS[verdict];
  return (
    <span className={`verdict v-${verdict}`} title={long}>
      <span aria-hidden="true">{sign}</span> {word}
    </span>
  );
}

/** How many of each; those that are none are left out. */
export function CountChips({ counts }: { counts: Readonly<Record<Verdict, number>> }) {
  return (
    <span className="counts">
      {(["forwarded", "audit", "dropped"] as const).map((verdict) =>
        counts[verdict] > 0 ? (
          <span key={verdict} className={`verdict v-${verdict}`}>
            <span aria-hidden="true">{VERDICT_WORDS[verdict].sign}</span>{" "}
            {counts[verdict].toLocaleString("en")}
            <span className="unseen"> {VERDICT_WORDS[verdict].word.toLowerCase()}</span>
          </span>
        ) : null,
      )}
    </span>
  );
}
