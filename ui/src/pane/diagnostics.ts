/** What is wrong with a file, at its line: syntax at once, the rest as the server says it. */
import type { Finding, Judgement, Problem, Remark } from "../api";
import { readSource } from "../model/source";

export interface LineProblem {
  line: number;
  column: number | null;
  severity: "error" | "warning" | "info";
  message: string;
  source: string;
  /** What has a fix, for whoever asks for it. */
  fixable: Remark | null;
}

const MOST = 50; // one mistake can make thousands

export function syntaxProblems(text: string): LineProblem[] {
  return readSource(text)
    .problems.slice(0, MOST)
    .map((one) => ({ ...one, severity: "error", source: "yaml", fixable: null }));
}

export function judgedProblems(judgement: Judgement, file: string): LineProblem[] {
  const problems = judgement.problems.filter((one) => one.file === file).map(ofProblem);
  const findings = judgement.findings.filter((one) => one.file === file && one.line !== null).map(ofFinding);
  return [...problems, ...findings];
}

export function ofProblem(one: Problem): LineProblem {
  const where = one.path === null || one.path === "" || one.message.includes(one.path) ? "" : `${one.path}: `;
  return {
    line: one.line,
    column: one.column,
    severity: one.severity,
    message: where + one.message,
    source: one.source,
    fixable: one.fixable === null ? null : one,
  };
}

export function ofFinding(one: Finding): LineProblem {
  const hint = one.hint === null ? "" : `\n${one.hint}`;
  return {
    line: one.line ?? 1,
    column: null,
    severity: severityOf(one.severity),
    message: one.message + hint,
    source: one.rule,
    fixable: one.fixable === null ? null : one,
  };
}

export function severityOf(word: string): LineProblem["severity"] {
  if (word === "error") return "error";
  return word === "info" || word === "note" || word === "hint" ? "info" : "warning";
}
