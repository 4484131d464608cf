/**
 * Label selectors, and how people write them: `app=web, tier in (a, b), !old`, as `kubectl -l` has it.
 *
 * Invariant: readSelector(selectorText(s)) is s, but for the order of `matchLabels` before `matchExpressions`.
 */
import { isObject, isStrings, type Json, type JsonObject } from "./value";

export const OPERATORS = ["In", "NotIn", "Exists", "DoesNotExist"] as const;
export type Operator = (typeof OPERATORS)[number];

export interface Expression {
  key: string;
  operator: Operator;
  /** Null where the text has none. */
  values: string[] | null;
}

export interface Selector {
  /** Null where the text has none: `{}` and `{matchLabels: {}}` mean the same and are written apart. */
  matchLabels: Record<string, string> | null;
  matchExpressions: Expression[] | null;
}

export const EVERY: Selector = { matchLabels: null, matchExpressions: null };

/** The selector that a value of YAML is, or null where the canvas could not draw all of it. */
export function selectorOf(value: unknown): Selector | null {
  if (!isObject(value)) return null;
  const { matchLabels, matchExpressions, ...more } = value;
  if (Object.keys(more).length > 0) return null;
  if (matchLabels !== undefined && !(isObject(matchLabels) && isStrings(Object.values(matchLabels))))
    return null;
  const expressions = matchExpressions === undefined ? null : expressionsOf(matchExpressions);
  if (expressions === undefined) return null;
  return {
    matchLabels: (matchLabels as Record<string, string> | undefined) ?? null,
    matchExpressions: expressions,
  };
}

function expressionsOf(value: Json): Expression[] | undefined {
  if (!Array.isArray(value)) return undefined;
  const all: Expression[] = [];
  for (const one of value) {
    if (!isObject(one)) return undefined;
    const { key, operator, values, ...more } = one;
    const known = OPERATORS.find((name) => name === operator);
    if (typeof key !== "string" || known === undefined || Object.keys(more).length > 0) return undefined;
    if (values !== undefined && !isStrings(values)) return undefined;
    all.push({ key, operator: known, values: values ?? null });
  }
  return all;
}

export function selectorValue(selector: Selector): JsonObject {
  const value: JsonObject = {};
  if (selector.matchLabels !== null) value.matchLabels = { ...selector.matchLabels };
  if (selector.matchExpressions !== null) {
    value.matchExpressions = selector.matchExpressions.map(({ key, operator, values }) =>
      values === null ? { key, operator } : { key, operator, values: [...values] },
    );
  }
  return value;
}

export function isEvery(selector: Selector): boolean {
  return (
    Object.keys(selector.matchLabels ?? {}).length === 0 && (selector.matchExpressions ?? []).length === 0
  );
}

/** As `kubectl -l` writes it; empty for a selector of everything. */
export function selectorText(selector: Selector): string {
  const labels = Object.entries(selector.matchLabels ?? {}).map(([key, value]) => `${key}=${value}`);
  const expressions = (selector.matchExpressions ?? []).map(({ key, operator, values }) => {
    const list = `(${(values ?? []).join(", ")})`;
    if (operator === "In") return `${key} in ${list}`;
    if (operator === "NotIn") return `${key} notin ${list}`;
    return operator === "Exists" ? key : `!${key}`;
  });
  return [...labels, ...expressions].join(", ");
}

/** The selector that a text is, or a sentence that says what is wrong with it. */
export function readSelector(text: string): Selector | string {
  const labels: Record<string, string> = {};
  const expressions: Expression[] = [];
  const key = "[^\\s,=!()]+";
  for (const part of parts(text)) {
    const set = new RegExp(`^(${key})\\s+(in|notin)\\s*\\(([^()]*)\\)$`).exec(part);
    const same = new RegExp(`^(${key})\\s*==?\\s*([^\\s,=!()]*)$`).exec(part);
    const other = new RegExp(`^(${key})\\s*!=\\s*([^\\s,=!()]*)$`).exec(part);
    const there = new RegExp(`^(!?)\\s*(${key})$`).exec(part);
    if (set) {
      const values = (set[3] ?? "").split(",").map((value) => value.trim());
      const operator = set[2] === "in" ? "In" : "NotIn";
      expressions.push({
        key: set[1] ?? "",
        operator,
        values: values.length === 1 && values[0] === "" ? [] : values,
      });
    } else if (same && !Object.hasOwn(labels, same[1] ?? "")) labels[same[1] ?? ""] = same[2] ?? "";
    else if (same) return `label \`${same[1]}\` is there twice`;
    else if (other) expressions.push({ key: other[1] ?? "", operator: "NotIn", values: [other[2] ?? ""] });
    else if (there) {
      const operator = there[1] === "!" ? "DoesNotExist" : "Exists";
      expressions.push({ key: there[2] ?? "", operator, values: null });
    } else
      return `\`${part}\` is no label selector: write \`app=web\`, \`tier in (a, b)\`, \`app\` or \`!app\``;
  }
  return {
    matchLabels: Object.keys(labels).length > 0 ? labels : null,
    matchExpressions: expressions.length > 0 ? expressions : null,
  };
}

/** Split at commas outside parentheses. */
function parts(text: string): string[] {
  return text
    .split(/,(?![^(]*\))/)
    .map((part) => part.trim())
    .filter((part) => part !== "");
}
