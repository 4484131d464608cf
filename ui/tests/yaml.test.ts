/** Types of YAML as the server has them; tests/unit/model/test_yaml_words.py holds the server to the same table. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { readObjects } from "../src/model/objects";
import { readSource } from "../src/model/source";
import { applyEdits } from "../src/model/splice";
import { treeOf } from "../src/model/tree";
import type { Json } from "../src/model/value";
import { blockLines, flowText, scalarText } from "../src/model/yaml-writing";

interface Table {
  words: [word: string, value: Json][];
  /** What the page writes for a text: in a block, and within brackets. */
  texts: [text: string, block: string, flow: string][];
}

const FILE = join(import.meta.dirname, "../../tests/unit/model/yaml-words.json");
const TABLE = JSON.parse(readFileSync(FILE, "utf8")) as Table;

function read(text: string): Json {
  const source = readSource(text);
  const [doc] = source.docs;
  expect(source.problems, text).toEqual([]);
  return doc === undefined ? null : treeOf(doc);
}

describe("as in the table", () => {
  test.each(TABLE.words)("the word %s means %j", (word, value) => {
    const found = read(`a: ${word}\n`) as { a: Json };
    const plain =
      typeof found.a === "number" && !Number.isFinite(found.a) ? { float: String(found.a) } : found.a;
    expect(plain).toEqual(value);
  });

  test.each(TABLE.texts)("the text %j is written and read", (text, block, flow) => {
    expect(scalarText(text)).toBe(block);
    expect(flowText(text)).toBe(flow);
    expect(read(`a: ${block}\nb: [${flow}, x]\n`)).toEqual({ a: text, b: [text, "x"] });
  });
});

test.each([
  ["{yes: 1, 0x1f: 2, 1e3: 3, ~: 4, 'x': 5}", ["true", "31", "1e3", "null", "x"]],
  ["{<<: {a: 1}, '<<': 2}", ["a", "<<"]],
])("keys of %s", (text, keys) => expect(Object.keys(read(text) as object).sort()).toEqual(keys.sort()));

test.each(["{1: x, '1': z}", "{yes: x, 'true': z}", "a: !!binary eA==\n", "a: !foo x\n", "a: !!int x\n"])(
  "%s is refused",
  (text) => expect(readSource(text).problems).not.toEqual([]),
);

test.each([
  ["!!str 5", "5"],
  ["!!int '012'", 10],
  ["! 5", "5"],
  ["!!timestamp 2024-01-01", "2024-01-01"],
])("the tag of %s is followed", (text, value) => expect(read(`a: ${text}\n`)).toEqual({ a: value }));

test("whatever value is written is read", () => {
  const text = fc.oneof(
    fc.string({ unit: "binary", maxLength: 8 }).filter((one) => !/\p{Surrogate}/u.test(one)),
    fc.string({ unit: fc.constantFrom(..."01_xeEoyn:.-+~ \n#,[]{}'\"<=?"), maxLength: 6 }),
    fc.constantFrom(...TABLE.texts.map(([one]) => one)),
  );
  const value = fc.letrec<{ node: Json }>((tie) => ({
    node: fc.oneof(
      { depthSize: "small" },
      text,
      fc.boolean(),
      fc.constant(null),
      fc.integer(),
      fc.array(tie("node"), { maxLength: 3 }),
      fc.dictionary(text, tie("node"), { maxKeys: 3, noNullPrototype: true }),
    ),
  })).node;
  fc.assert(
    fc.property(value, fc.boolean(), fc.boolean(), (one, indented, padded) => {
      expect(read(`${blockLines({ a: one }, indented).join("\n")}\nb: 1\n`)).toEqual({ a: one, b: 1 });
      expect(read(`a: ${flowText(one, { padded })}\n`)).toEqual({ a: one });
      const edited = applyEdits("x:\n  - z\n", 0, [{ op: "append", path: ["x"], value: one }]);
      expect(read(edited)).toEqual({ x: ["z", one] });
    }),
    { numRuns: 2000 },
  );
});

test("a text of several lines is one, without blanks at their ends", () => {
  const lines = blockLines({ a: { b: "one\n\ntwo" } }, true);
  expect(lines).toEqual(["a:", "  b: |-", "    one", "", "    two"]);
});

test("a label that is no text in YAML 1.1 is none on the canvas either", () => {
  const text = "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {name: on}\nspec: {}\n";
  expect(readObjects(text)[0]?.name).toBe("");
});

test.each(["\u0085", "\u2028", "\u2029", "\r"])(
  "a line end that does not look so is a problem: %j",
  (end) => {
    const { problems, docs } = readSource(`a: 1\nb: 2 # no more${end}c: 3\n`);
    expect(problems).toMatchObject([{ line: 2, column: 15 }]);
    expect(docs).toEqual([]);
  },
);
