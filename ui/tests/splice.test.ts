/** Splices: byte for byte what was there, and the edit. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { lineDiff } from "../src/model/line-diff";
import { readObjects } from "../src/model/objects";
import { readSource } from "../src/model/source";
import { applyEdits, EditError } from "../src/model/splice";
import type { Edit } from "../src/model/value";
import { MISSING, STYLES, validPolicies } from "./policies";

const cases: [string, string, Edit, string][] = [
  [
    "within brackets, the comment of the item before stays",
    "a: [\n  1, # one\n  2, # two\n  3 # three\n]\n",
    { op: "remove", path: ["a", 1] },
    "a: [\n  1, # one\n  3 # three\n]\n",
  ],
  [
    "within brackets, also where the last item goes",
    "a: {\n  b: 1, # one\n  # on c\n  c: 2 # two\n}\n",
    { op: "remove", path: ["a", "c"] },
    "a: {\n  b: 1, # one\n}\n",
  ],
  [
    "within brackets, with its line only where it is alone there",
    "a: [1, # one\n  2, 3]\n",
    { op: "remove", path: ["a", 1] },
    "a: [1, # one\n   3]\n",
  ],
  [
    "a scalar keeps its quotes",
    "a: 'x' # c\nb: 1\n",
    { op: "set", path: ["a"], value: "y" },
    "a: 'y' # c\nb: 1\n",
  ],
  ["a text that reads as a number is quoted", "a: x\n", { op: "set", path: ["a"], value: "53" }, 'a: "53"\n'],
  [
    "a key more, after the comment of the last line",
    "a: 1 # one\n",
    { op: "set", path: ["b"], value: 2 },
    "a: 1 # one\nb: 2\n",
  ],
  [
    "missing maps are made",
    "a: 1\n",
    { op: "set", path: ["b", "c", "d"], value: true },
    "a: 1\nb:\n  c:\n    d: true\n",
  ],
  ["an empty value is filled", "a:\nb: 1\n", { op: "set", path: ["a", "c"], value: 2 }, "a:\n  c: 2\nb: 1\n"],
  [
    "{} becomes a block",
    "a: {} # none\nb: 1\n",
    { op: "set", path: ["a", "c"], value: 2 },
    "a:\n  c: 2 # none\nb: 1\n",
  ],
  [
    "flow stays flow",
    "a: {b: 1, c: [x]}\n",
    { op: "append", path: ["a", "c"], value: "w" },
    "a: {b: 1, c: [x, w]}\n",
  ],
  ["flow gets a key", "a: {b: 1}\n", { op: "set", path: ["a", "c"], value: "w" }, "a: {b: 1, c: w}\n"],
  [
    "an item more, at the dashes",
    "a:\n- x # one\n- y # two\n# end\n",
    { op: "append", path: ["a"], value: { k: 1, l: [2] } },
    "a:\n- x # one\n- y # two\n- k: 1\n  l:\n  - 2\n# end\n",
  ],
  [
    "an item less, with its comment above",
    "a:\n  # one\n  - x\n\n  # two\n  - y\n  - z\n",
    { op: "remove", path: ["a", 1] },
    "a:\n  # one\n  - x\n\n  - z\n",
  ],
  [
    "the first key of an item",
    "a:\n  - k: 1 # c\n    # about l\n    l: 2\n",
    { op: "remove", path: ["a", 0, "k"] },
    "a:\n  - # about l\n    l: 2\n",
  ],
  [
    "the last key leaves an empty map",
    "a:\n  k: 1\nb: 2\n",
    { op: "remove", path: ["a", "k"] },
    "a: {}\nb: 2\n",
  ],
  ["a flow item less", "a: [x, y, z]\n", { op: "remove", path: ["a", 0] }, "a: [y, z]\n"],
  ["the last flow item", "a: [x, y, z]\n", { op: "remove", path: ["a", 2] }, "a: [x, y]\n"],
  [
    "a key's name",
    'a:\n  "toFQDNs": 1 # c\n',
    { op: "rename", path: ["a", "toFQDNs"], key: "toCIDR" },
    'a:\n  "toCIDR": 1 # c\n',
  ],
  ["no line end at the end", "a:\n  - x", { op: "append", path: ["a"], value: "w" }, "a:\n  - x\n  - w"],
  [
    "line ends of Windows",
    "a:\r\n  - x\r\nb: 1\r\n",
    { op: "append", path: ["a"], value: "w" },
    "a:\r\n  - x\r\n  - w\r\nb: 1\r\n",
  ],
  [
    "a block text above",
    "a: |\n  x\n  y\nb: 1\n",
    { op: "set", path: ["c"], value: 2 },
    "a: |\n  x\n  y\nb: 1\nc: 2\n",
  ],
  [
    "an item of blanks and dashes",
    "a:\n  -\n    k: 1\n",
    { op: "append", path: ["a"], value: "w" },
    "a:\n  -\n    k: 1\n  - w\n",
  ],
  [
    "a word that is no text to kubectl is quoted",
    "a: x\nb: x\n",
    { op: "set", path: ["a"], value: "on" },
    'a: "on"\nb: x\n',
  ],
  [
    "within brackets too",
    "a: {b: x}\n",
    { op: "set", path: ["a", "c"], value: { d: "2024-01-01", "k8s:e": "f" } },
    'a: {b: x, c: {d: "2024-01-01", "k8s:e": f}}\n',
  ],
  [
    "numbers of YAML 1.1 stay as they are written, in what is written anew too",
    "a:\n  - - 0x1f\n    - 012\n    - 1_000\n    - 12345678901234567891\n    - yes\n    - ~\n    - x\n",
    { op: "remove", path: ["a", 0, 6] },
    "a:\n  - - 0x1f\n    - 012\n    - 1_000\n    - 12345678901234567891\n    - yes\n    - ~\n",
  ],
  [
    "of mixed line ends, those around",
    "a:\r\n  - x\r\nb:\n  - x\nc: 1\r\n",
    { op: "append", path: ["b"], value: { d: 1, e: 2 } },
    "a:\r\n  - x\r\nb:\n  - x\n  - d: 1\n    e: 2\nc: 1\r\n",
  ],
  [
    "what is written anew has the line ends that were there",
    "a:\r\n  - - x\r\n    - z\r\n",
    { op: "remove", path: ["a", 0, 0] },
    "a:\r\n  - - z\r\n",
  ],
  [
    "the mark of UTF-8 at the start stays",
    "\ufeffa:\n  - - x\n    - z\n",
    { op: "remove", path: ["a", 0, 0] },
    "\ufeffa:\n  - - z\n",
  ],
  [
    "the mark is before the first key, not in its column",
    "\ufeffa: 1 # one\n",
    { op: "set", path: ["b"], value: 2 },
    "\ufeffa: 1 # one\nb: 2\n",
  ],
  [
    "the mark stays when the first key goes",
    "\ufeffa: 1\nb: 2 # two\n",
    { op: "remove", path: ["a"] },
    "\ufeffb: 2 # two\n",
  ],
  [
    "JSON stays JSON",
    '{\n    "a": {\n        "b": 1\n    }\n}\n',
    { op: "set", path: ["a", "c"], value: { d: ["x", 2], e: {} } },
    '{\n    "a": {\n        "b": 1,\n        "c": {\n            "d": [\n                "x",\n                2\n            ],\n            "e": {}\n        }\n    }\n}\n',
  ],
  [
    "JSON on a line stays on a line",
    '{"a":[{"b":1}]}\n',
    { op: "append", path: ["a"], value: { b: "x", c: true } },
    '{"a":[{"b":1},{"b":"x","c":true}]}\n',
  ],
  [
    "JSON of one list is JSON with none",
    '{\n  "a": [\n    "x"\n  ]\n}\n',
    { op: "remove", path: ["a", 0] },
    '{\n  "a": []\n}\n',
  ],
  ["an empty JSON object gets a key", "{}\n", { op: "set", path: ["a"], value: "x" }, '{"a":"x"}\n'],
  [
    "brackets of several lines get a line",
    "a: [\n  x, # one\n  z, # two\n]\n",
    { op: "append", path: ["a"], value: "w" },
    "a: [\n  x, # one\n  z,\n  w, # two\n]\n",
  ],
  [
    "dashes in dashes are written anew",
    "a:\n  - - x\n    - y\n",
    { op: "remove", path: ["a", 0, 0] },
    "a:\n  - - y\n",
  ],
];

test.each(cases)("%s", (_name, before, edit, after) => {
  expect(applyEdits(before, 0, [edit])).toBe(after);
});

describe("what can only be edited as text", () => {
  test("aliases without end", () => {
    const text = `a: &a [x]\n${[..."bcdefghij"].map((key, at) => `${key}: &${key} [${`*${"abcdefghij"[at]}, `.repeat(9)}]`).join("\n")}\n`;
    expect(() => applyEdits(text, 0, [{ op: "set", path: ["z"], value: 2 }])).toThrow(EditError);
    expect(readObjects(text)).toEqual([]);
  });

  test("nested beyond the stack", () => {
    const text = "[".repeat(50_000);
    expect(readSource(text).problems.length).toBeGreaterThan(0);
    expect(readObjects(text)).toEqual([]);
  });

  test("a text with an error", () => {
    expect(() => applyEdits("a: [\n", 0, [{ op: "set", path: ["b"], value: 2 }])).toThrow(EditError);
  });
});

test.skipIf(MISSING !== null)("what is added takes no line away, in any layout of lines", () => {
  const written = [
    "lists indented",
    "lists at their key, as kubectl writes",
    "four columns",
    "comments everywhere",
  ];
  const style = fc.constantFrom(...written.map((one) => STYLES[one] ?? (() => "")));
  fc.assert(
    fc.property(fc.constantFrom(...validPolicies()), style, (policy, write) => {
      const section = Object.keys((policy["spec"] ?? {}) as object).find((key) => /^(in|e)gress/.test(key));
      const spec = policy["spec"] as Record<string, unknown[]> | undefined;
      if (section === undefined || (spec?.[section] ?? []).length === 0) return;
      const text = write(policy);
      const edits: Edit[] = [
        { op: "append", path: ["spec", section], value: { toPorts: [{ ports: [{ port: "443" }] }] } },
        { op: "set", path: ["metadata", "annotations", "namewall.io/mode"], value: "audit" },
      ];
      for (const edit of edits) {
        const gone = lineDiff(text, applyEdits(text, 0, [edit])).filter((line) => line.sign === "-");
        expect(gone).toEqual([]);
      }
    }),
    { numRuns: 300 },
  );
});
