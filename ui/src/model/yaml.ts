/**
 * The yaml library, set to read and write what kubectl and the server do (yaml-words.ts).
 *
 * The only file that imports it: one idea of types for all of the page.
 */
import {
  type Document,
  type DocumentOptions,
  type ParsedNode,
  type ParseOptions,
  parseAllDocuments,
  Scalar,
  type ScalarTag,
  type SchemaOptions,
  type Tags,
} from "yaml";
import { stringTag } from "yaml/util";
import { FALSE, FLOAT, INT, NULL, plainValue, TRUE } from "./yaml-words";
import { scalarText } from "./yaml-writing";

export {
  type Alias,
  isAlias,
  isCollection,
  isMap,
  isNode,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  type Pair,
  visit,
  type YAMLMap,
  type YAMLSeq,
} from "yaml";

export type Doc = Document.Parsed<ParsedNode>;

/** A key as JSON has it: `1e3` stays as it is written, `0x1f` is `31`. Null for what is no plain value. */
export function keyText(key: unknown): string | null {
  if (!(key instanceof Scalar)) return null;
  const { value, source } = key;
  return typeof value === "number" && source !== undefined && !INT.test(source) ? source : String(value);
}

/** `<<` without quotes. */
export function isMergeKey(key: unknown): boolean {
  return key instanceof Scalar && key.source === "<<" && key.type === Scalar.PLAIN;
}

/** Of what the library writes anew, numbers and words stay as they were written. */
function plainTag(name: string, test: RegExp, identify: (value: unknown) => boolean): ScalarTag {
  return {
    tag: `tag:yaml.org,2002:${name}`,
    default: true,
    test,
    identify,
    resolve: plainValue,
    stringify: ({ value, source }) =>
      source !== undefined && Object.is(plainValue(source), value) ? source : JSON.stringify(value),
  };
}

const TEXT: ScalarTag = {
  ...stringTag,
  stringify: (item, context, onComment, onChompKeep) =>
    item.source === undefined && typeof item.value === "string"
      ? scalarText(item.value, context.inFlow === true)
      : (stringTag.stringify?.(item, context, onComment, onChompKeep) ?? ""),
};

const TAGS: Tags = [
  TEXT,
  plainTag("null", NULL, (value) => value === null),
  plainTag("bool", new RegExp(`${TRUE.source}|${FALSE.source}`), (value) => typeof value === "boolean"),
  plainTag("int", INT, Number.isInteger),
  plainTag("float", FLOAT, (value) => typeof value === "number"),
  { tag: "tag:yaml.org,2002:timestamp", resolve: (text: string) => text },
];

const OPTIONS: ParseOptions & DocumentOptions & SchemaOptions = {
  schema: "failsafe",
  customTags: (tags) => [...tags.filter((tag) => tag !== stringTag), ...TAGS],
  resolveKnownTags: false,
  merge: true,
  logLevel: "silent",
  prettyErrors: false,
  uniqueKeys: (a, b) => keyText(a) === keyText(b) && keyText(a) !== null && !isMergeKey(a),
};

/** Throws where the text is nested beyond the stack. */
export function parseDocuments(text: string, lineCounter: NonNullable<ParseOptions["lineCounter"]>): Doc[] {
  const found = parseAllDocuments(text, { ...OPTIONS, keepSourceTokens: true, lineCounter });
  return ("empty" in found ? [] : [...found]) as Doc[];
}
