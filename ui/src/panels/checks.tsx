/** What the server says of the open files: problems, findings with their fixes, the rating with its reasons. */
import { memo, useState } from "react";
import type { Finding, Problem, Rating, Remark } from "../api";
import { ofProblem, severityOf } from "../pane/diagnostics";
import { useJudgement } from "../workspace/judgement";
import type { ShowLine } from "./rule-links";

interface ChecksProps {
  show: ShowLine;
  onFix: (remark: Remark) => void;
}

export function Checks({ show, onFix }: ChecksProps) {
  const { judgement, error } = useJudgement();
  if (error !== null) {
    return (
      <p className="notice deny" role="alert">
        {error}
      </p>
    );
  }
  if (judgement === null) return <p className="quiet">Asking the server …</p>;
  const { problems, findings, rating, objects } = judgement;
  const more = (judgement.left?.problems ?? 0) + (judgement.left?.findings ?? 0);
  const accepted = objects.filter((one) => one.accepted).length;
  return (
    <div className="column">
      <p>
        {accepted} of {objects.length} {objects.length === 1 ? "object" : "objects"} accepted,{" "}
        {problems.length} {problems.length === 1 ? "problem" : "problems"}, {findings.length}{" "}
        {findings.length === 1 ? "finding" : "findings"}
        {more > 0 ? `, and ${more} more that are not listed` : ""}.
      </p>
      <Problems problems={problems} show={show} onFix={onFix} />
      <Findings findings={findings} show={show} onFix={onFix} />
      {rating !== null && <RatingCard rating={rating} show={show} />}
    </div>
  );
}

const MOST = 100; // shown at first

/** The first so many of a list, and a button for the rest. */
function useFirst<T>(all: readonly T[]): [readonly T[], React.ReactNode] {
  const [whole, setWhole] = useState(false);
  if (whole || all.length <= MOST) return [all, null];
  const button = (
    <button type="button" onClick={() => setWhole(true)}>
      Show {all.length - MOST} more
    </button>
  );
  return [all.slice(0, MOST), button];
}

const Problems = memo(function Problems({
  problems,
  show,
  onFix,
}: {
  problems: readonly Problem[];
  show: ShowLine;
  onFix: (remark: Remark) => void;
}) {
  const [first, rest] = useFirst(problems);
  if (problems.length === 0) return null;
  return (
    <>
      <ul className="column" aria-label="Problems">
        {first.map((one, at) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: a list that is replaced whole
          <li key={at} className={`notice ${one.severity}`}>
            <Where file={one.file} line={one.line} show={show} /> <span className="chip">{one.source}</span>{" "}
            {ofProblem(one).message} <FixButton of={one} onFix={onFix} />
          </li>
        ))}
      </ul>
      {rest}
    </>
  );
});

interface FindingsProps {
  findings: readonly Finding[];
  show: ShowLine;
  onFix: (remark: Remark) => void;
}

const Findings = memo(function Findings({ findings, show, onFix }: FindingsProps) {
  const [first, rest] = useFirst(findings);
  if (findings.length === 0) return null;
  return (
    <>
      <ul className="column" aria-label="Findings">
        {first.map((one, at) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: as above
          <li key={at} className={`notice ${severityOf(one.severity)}`}>
            <div className="row">
              <Where file={one.file} line={one.line} show={show} />
              <span className="chip">{one.severity}</span>
              <span className="mono">{one.rule}</span>
            </div>
            <p>{one.message}</p>
            {one.hint !== null && <p className="hint">{one.hint}</p>}
            <FixButton of={one} onFix={onFix} />
          </li>
        ))}
      </ul>
      {rest}
    </>
  );
});

function FixButton({ of, onFix }: { of: Remark; onFix: (remark: Remark) => void }) {
  if (of.fixable === null) return null;
  return (
    <button type="button" onClick={() => onFix(of)}>
      Fix: {of.fixable}
    </button>
  );
}

function Where({ file, line, show }: { file: string; line: number | null; show: ShowLine }) {
  if (line === null) return <span className="mono">{file}</span>;
  return (
    <button type="button" className="plain mono link" onClick={() => show(file, line)}>
      {file}:{line}
    </button>
  );
}

function RatingCard({ rating, show }: { rating: Rating; show: ShowLine }) {
  return (
    <section className="column" aria-label="Rating">
      <h2>
        Rating: {rating.word}, {rating.score} of 100
      </h2>
      <meter min={0} max={100} low={40} high={70} optimum={100} value={rating.score} aria-label="Rating" />
      <ul>
        {rating.reasons.map((one, at) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: a list that is replaced whole
          <li key={at}>
            <span className="mono">{one.points > 0 ? `+${one.points}` : one.points}</span> {one.text}{" "}
            {one.file !== null && one.line !== null && <Where file={one.file} line={one.line} show={show} />}
          </li>
        ))}
      </ul>
    </section>
  );
}
