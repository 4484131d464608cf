/** Rules by name, each a way to its line in the text. */
import type { Rule } from "../api";

export type ShowLine = (file: string, line: number) => void;

export function ruleText(rule: Rule): string {
  const where = rule.namespace === null ? "" : `${rule.namespace}/`;
  return `${where}${rule.policy} ${rule.rule}`;
}

export function RuleLinks({ rules, show, label }: { rules: readonly Rule[]; show: ShowLine; label: string }) {
  if (rules.length === 0) return null;
  return (
    <ul className="rule-links" aria-label={label}>
      {rules.map((rule, at) => {
        const { file, line } = rule;
        const text = ruleText(rule);
        return (
          // biome-ignore lint/suspicious/noArrayIndexKey: a rule may decide twice
          <li key={at}>
            {file !== null && line !== null ? (
              <button type="button" className="plain mono link" onClick={() => show(file, line)}>
                {text}
              </button>
            ) : (
              <span className="mono">{text}</span>
            )}
          </li>
        );
      })}
    </ul>
  );
}
