/** Completion, and texts in step. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { JsonSchema, Judgement, Problem } from "../src/api";
import { optionsAt, written } from "../src/pane/completion";
import { judgedProblems } from "../src/pane/diagnostics";
import { placeAt } from "../src/pane/place";
import { shownText, typedInto } from "../src/pane/shown";
import { changeBetween } from "../src/pane/sync";

const SCHEMA: JsonSchema = {
  type: "object",
  properties: {
    spec: {
      type: "object",
      properties: {
        enableDefaultDeny: { type: "object", properties: { egress: { type: "boolean" } } },
        egress: {
          type: "array",
          items: {
            type: "object",
            properties: {
              toEntities: { type: "array", items: { type: "string", enum: ["world", "host"] } },
              toPorts: {
                type: "array",
                items: {
                  type: "object",
                  properties: {
                    ports: {
                      type: "array",
                      items: {
                        type: "object",
                        properties: {
                          port: { type: "string" },
                          protocol: { type: "string", enum: ["TCP", "UDP"] },
                        },
                      },
                    },
                  },
                },
              },
            },
          },
        },
      },
    },
  },
};

/** What is offered at the bar. */
function offered(text: string): string[] {
  const at = text.indexOf("|");
  const place = placeAt(text.replace("|", ""), at);
  return place === null ? [] : optionsAt({ CiliumNetworkPolicy: SCHEMA }, place).map((one) => one.label);
}

const HEAD = "kind: CiliumNetworkPolicy\n";

describe("completion", () => {
  test.each([
    ["a key of the spec", `${HEAD}spec:\n  e|`, ["enableDefaultDeny", "egress"]],
    ["not a key that is there", `${HEAD}spec:\n  enableDefaultDeny: {}\n  e|`, ["egress"]],
    ["a key of a list's item", `${HEAD}spec:\n  egress:\n    - to|`, ["toEntities", "toPorts"]],
    ["a list at the column of its key", `${HEAD}spec:\n  egress:\n  - to|`, ["toEntities", "toPorts"]],
    ["the second key of an item", `${HEAD}spec:\n  egress:\n    - toEntities: []\n      to|`, ["toPorts"]],
    ["an item of words", `${HEAD}spec:\n  egress:\n    - toEntities:\n        - w|`, ["world", "host"]],
    [
      "deep below, past comments",
      `${HEAD}spec:\n  egress:\n    - toPorts:\n        # web\n\n        - ports:\n            - port: "1"\n              p|`,
      ["protocol"],
    ],
    [
      "a value",
      `${HEAD}spec:\n  egress:\n    - toPorts:\n        - ports:\n            - protocol: T|`,
      ["TCP", "UDP"],
    ],
    ["a truth value", `${HEAD}spec:\n  enableDefaultDeny:\n    egress: t|`, ["true", "false"]],
    ["the kind", "kind: C|", ["CiliumNetworkPolicy"]],
    [
      "of the document it is in",
      `kind: Other\nspec: {}\n---\n${HEAD}spec:\n  e|`,
      ["enableDefaultDeny", "egress"],
    ],
    ["not in a comment", `${HEAD}spec:\n  # e|`, []],
    ["a key in braces", `${HEAD}spec: {e|}`, ["enableDefaultDeny", "egress"]],
    ["a further key in braces", `${HEAD}spec: {enableDefaultDeny: {egress: true}, |}`, ["egress"]],
    ["deeper in braces", `${HEAD}spec: {egress: [{toPorts: [{ports: [{port: "1", p|`, ["protocol"]],
    ["braces in a block", `${HEAD}spec:\n  egress:\n    - {toEntities: [world], |}`, ["toPorts"]],
    [
      "a value in braces",
      `${HEAD}spec:\n  egress:\n    - toPorts: [{ports: [{protocol: |}]}]`,
      ["TCP", "UDP"],
    ],
    ["an item in brackets", `${HEAD}spec:\n  egress:\n    - toEntities: [host, |]`, ["world", "host"]],
    ["brackets of several lines", `${HEAD}spec: {\n  # {\n  egress: [\n    {t|`, ["toEntities", "toPorts"]],
    ["JSON", `{\n "kind": "CiliumNetworkPolicy",\n "spec": {\n  "e|`, ["enableDefaultDeny", "egress"]],
    [
      "a value of JSON",
      `{"kind": "CiliumNetworkPolicy", "spec": {"egress": [{"toEntities": ["w|`,
      ["world", "host"],
    ],
    ["past brackets that are closed", `${HEAD}spec:\n  enableDefaultDeny: {egress: [}]}\n  e|`, ["egress"]],
    [
      "past brackets and quotes in a text",
      `${HEAD}spec:\n  description: it's [x, {\n  e|`,
      ["enableDefaultDeny", "egress"],
    ],
    ["not in a comment in braces", `${HEAD}spec: {\n  # e|`, []],
    ["nothing below what is not known", `${HEAD}spec:\n  foo:\n    b|`, []],
  ])("%s", (_name, text, labels) => expect(offered(text)).toEqual(labels));
});

test.each([
  ["{e|}", "egress", "egress: [", "]"],
  ['{"e|"}', "egress", 'egress": [', "]"],
  ['{"a": 1, |}', "egress", '"egress": [', "]"],
  ['{a: "x", |}', "egress", "egress: [", "]"],
  ["{|}", "enableDefaultDeny", "enableDefaultDeny: {", "}"],
  ["\n  |", "egress", "egress:\n    - ", ""],
])("what is put in at %s", (text, name, before, after) => {
  const whole = `${HEAD}spec: ${text}`;
  const place = placeAt(whole.replace("|", ""), whole.indexOf("|"));
  const schema = SCHEMA.properties?.["spec"]?.properties?.[name];
  expect(place && schema && written(name, schema, place)).toEqual({ before, after });
});

test("the change between two texts makes the one the other", () => {
  const text = fc.string({ unit: fc.constantFrom("a", "b", "\n"), maxLength: 12 });
  fc.assert(
    fc.property(text, text, (before, after) => {
      const { from, to, insert } = changeBetween(before, after);
      expect(before.slice(0, from) + insert + before.slice(to)).toBe(after);
    }),
  );
});

test.each([
  ["line ends of Windows", "a: 1\r\nb: 2\r\n", "a: 1\nx: 3\nb: 2\n", "a: 1\r\nx: 3\r\nb: 2\r\n"],
  [
    "of mixed ones those around",
    "a: 1\r\nb: 2\nc: 3\n",
    "a: 1\nb: 2\nx: 3\nc: 3\n",
    "a: 1\r\nb: 2\nx: 3\nc: 3\n",
  ],
  ["the mark of UTF-8", "\ufeffa: 1\n", "b: 1\n", "\ufeffb: 1\n"],
])("typing keeps %s", (_name, text, shown, after) => expect(typedInto(text, shown)).toBe(after));

test("what is shown after typing is what was typed, and what was not typed has its line ends", () => {
  const piece = fc.constantFrom("a", "b", "\n", "\r\n");
  const whole = fc
    .tuple(fc.constantFrom("", "\ufeff"), fc.array(piece))
    .map(([mark, all]) => mark + all.join(""));
  const shown = fc.string({ unit: fc.constantFrom("a", "b", "\n"), maxLength: 12 });
  fc.assert(
    fc.property(whole, shown, (text, typed) => {
      const after = typedInto(text, typed);
      expect(shownText(after)).toBe(typed);
      expect(after.startsWith("\ufeff")).toBe(text.startsWith("\ufeff"));
      expect(typedInto(text, shownText(text))).toBe(text);
    }),
  );
});

describe("marks in the text", () => {
  const problem: Problem = {
    file: "a.yaml",
    line: 3,
    column: 1,
    path: "spec.tofqdn",
    object: 0,
    message: "unknown field",
    severity: "error",
    source: "cilium",
    fix: null,
    fixable: "write `toFQDNs`",
  };
  const judgement = (problems: Problem[]): Judgement => ({
    objects: [],
    problems,
    findings: [],
    rating: null,
  });

  test("have the fix that the list of checks has", () => {
    const [mark] = judgedProblems(judgement([problem]), "a.yaml");
    expect(mark?.fixable).toBe(problem);
  });

  test("have none where there is none", () => {
    const [mark] = judgedProblems(judgement([{ ...problem, fixable: null }]), "a.yaml");
    expect(mark?.fixable).toBeNull();
  });
});
