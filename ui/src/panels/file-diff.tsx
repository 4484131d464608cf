/** What would change in the files, line by line; signs and words, not colour alone. */
import type { PolicyFile } from "../api";
import { type DiffLine, hunks, lineDiff } from "../model/line-diff";
import "../styles/diff.css";

const WORDS = { " ": "", "+": "added: ", "-": "removed: " };

export function FileDiff({ before, after }: { before: readonly PolicyFile[]; after: readonly PolicyFile[] }) {
  const changed = after.filter((file) => before.find((one) => one.name === file.name)?.text !== file.text);
  if (changed.length === 0) return <p className="quiet">Nothing changes.</p>;
  return changed.map((file) => (
    <figure key={file.name} className="diff">
      <figcaption className="mono">{file.name}</figcaption>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls, so the keyboard must reach it */}
      <section tabIndex={0} aria-label={`Changes of ${file.name}`}>
        <pre>
          {hunks(lineDiff(before.find((one) => one.name === file.name)?.text ?? "", file.text)).map(
            (line, at) => (
              // biome-ignore lint/suspicious/noArrayIndexKey: lines have no other name
              <Line key={at} line={line} />
            ),
          )}
        </pre>
      </section>
    </figure>
  ));
}

function Line({ line }: { line: DiffLine | null }) {
  if (line === null) return <span className="diff-line gap">…{"\n"}</span>;
  const name = { " ": "same", "+": "come", "-": "gone" }[line.sign];
  return (
    <span className={`diff-line ${name}`}>
      <span className="unseen">{WORDS[line.sign]}</span>
      {line.sign} {line.text}
      {"\n"}
    </span>
  );
}
