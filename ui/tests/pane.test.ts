/** Completion, and texts in step. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { JsonSchema, Judgement, Problem } from "../src/api";
import { optionsAt } from "../src/pane/completion";
import { judgedProblems } from "../src/pane/diagnostics";
import { placeAt } from "../src/pane/place";
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
    ["not in flow style", `${HEAD}spec: {e|`, []],
    ["nothing below what is not known", `${HEAD}spec:\n  foo:\n    b|`, []],
  ])("%s", (_name, text, labels) => expect(offered(text)).toEqual(labels));
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

describe("marks in the text", () => {
  const problem: Problem = {
    file: "a.yaml",
    line: 3,
    column: 1,
    path: "spec.tofqdn",
    object: 0,
    message: "unknown field",
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
