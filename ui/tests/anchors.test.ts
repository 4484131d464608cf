/** What is written once and stands in several places: edits of one place, or a sentence. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { applyChanges } from "../src/model/change";
import { type Drawing, draw } from "../src/model/draw";
import { addRule, removeCard, removePeer, setPeer, setPorts, setSubject } from "../src/model/edits";
import { readObjects } from "../src/model/objects";
import { readSource } from "../src/model/source";
import { applyEdits, EditError } from "../src/model/splice";
import { treeOf } from "../src/model/tree";
import { type Edit, equal, isObject, withEdit } from "../src/model/value";

const SHARED = `apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata:
  name: a
  annotations: {note: &note one}
spec:
  description: *note
  endpointSelector: {}
  egress:
    - toFQDNs: &names # ours
        - matchName: a.example
        - matchName: b.example
      toPorts: &ports
        - ports: [{port: "443"}]
    - toFQDNs: *names
      toPorts:
        - ports: [{port: "8443"}]
    - &rule
      toEntities: [host]
      toPorts: *ports
    - *rule
    - toCIDR: &alone [192.0.2.0/24, 192.0.2.1/32]
    - <<: *rule
      icmps: [{fields: [{type: 8}]}]
`;

describe("an edit is of one place", () => {
  const edited = (...edits: Edit[]) => applyEdits(SHARED, 0, edits);
  const egress = (...rest: (string | number)[]) => ["spec", "egress", ...rest];
  const refused: [string, Edit, string][] = [
    ["inside the anchor", { op: "remove", path: egress(0, "toFQDNs", 0) }, "names"],
    ["more in the anchor", { op: "append", path: egress(0, "toFQDNs"), value: { matchName: "c" } }, "names"],
    ["behind the alias", { op: "remove", path: egress(1, "toFQDNs", 0) }, "names"],
    ["more behind the alias", { op: "append", path: egress(1, "toFQDNs"), value: {} }, "names"],
    ["behind two aliases", { op: "set", path: egress(3, "toPorts"), value: [] }, "rule"],
    ["a rule whose parts stand elsewhere", { op: "remove", path: egress(0) }, "names"],
    [
      "a text that stands elsewhere",
      { op: "set", path: ["metadata", "annotations", "note"], value: "x" },
      "note",
    ],
    ["a rule that stands elsewhere", { op: "remove", path: egress(2) }, "rule"],
    ["what is merged, taken out", { op: "remove", path: egress(5, "toEntities") }, "rule"],
    ["what is merged, with more", { op: "append", path: egress(5, "toEntities"), value: "world" }, "rule"],
    ["below what is merged", { op: "set", path: egress(5, "toEntities", 0), value: "world" }, "rule"],
  ];
  test.each(refused)("not %s", (_name, edit, anchor) => {
    expect(() => edited(edit)).toThrow(EditError);
    expect(() => edited(edit)).toThrow(`&${anchor}`);
  });

  const done: [string, Edit, [string, string]][] = [
    ["a rule behind an alias, taken out", { op: "remove", path: egress(3) }, ["    - *rule\n", ""]],
    [
      "another value than the alias",
      { op: "set", path: ["spec", "description"], value: "two" },
      ["description: *note", "description: two"],
    ],
    [
      "beside an alias",
      { op: "set", path: egress(1, "toPorts", 0, "ports", 0, "port"), value: "1" },
      ["8443", "1"],
    ],
    ["an anchor that nobody uses", { op: "remove", path: egress(4, "toCIDR", 1) }, [", 192.0.2.1/32", ""]],
    [
      "more in the merging map",
      { op: "set", path: egress(5, "toEntities"), value: ["world"] },
      [
        "      icmps: [{fields: [{type: 8}]}]\n",
        "      icmps: [{fields: [{type: 8}]}]\n      toEntities:\n        - world\n",
      ],
    ],
  ];
  test.each(done)("%s", (_name, edit, [before, after]) => {
    expect(edited(edit)).toBe(SHARED.replace(before, after));
  });
});

test("an alias of itself, and a key that is a list, are problems with a line", () => {
  expect(readSource("a: 1\nb: &x [*x]\n").problems[0]?.message).toContain("part of");
  expect(readSource("? [a]\n: 1\n").problems).not.toEqual([]);
  expect(readObjects("a: &x [*x]\n")).toEqual([]);
});

/** Texts with anchors anywhere: what an accepted edit leaves is all but the place it is about. */
test("any accepted edit changes its place and no other", () => {
  const leaf = fc.constantFrom("x", "on", "*a", "*b", "&a y", "&b 1");
  const flow = fc.letrec((tie) => ({
    node: fc.oneof({ depthSize: "small" }, leaf, tie("list"), tie("map")),
    list: fc
      .tuple(fc.constantFrom("", "&a ", "&b "), fc.array(tie("node"), { maxLength: 3 }))
      .map(([anchor, items]) => `${anchor}[${items.join(", ")}]`),
    map: fc
      .tuple(fc.constantFrom("", "&a ", "&b "), fc.array(tie("node"), { maxLength: 3 }))
      .map(([anchor, items]) => `${anchor}{${items.map((item, at) => `k${at}: ${item}`).join(", ")}}`),
  })).node;
  const text = fc
    .array(flow, { minLength: 2, maxLength: 5 })
    .map((all) => all.map((one, at) => `k${at}: ${one}\n`).join(""));
  const key = fc.oneof(fc.nat({ max: 2 }), fc.constantFrom("k0", "k1", "k2"));
  const path = fc
    .tuple(fc.constantFrom("k0", "k1", "k2"), fc.array(key, { maxLength: 2 }))
    .map(([a, b]) => [a, ...b]);
  const edit: fc.Arbitrary<Edit> = fc.oneof(
    fc.record({ op: fc.constant("set" as const), path, value: fc.constantFrom("new", ["new"], {}) }),
    fc.record({ op: fc.constant("append" as const), path, value: fc.constant("new") }),
    fc.record({ op: fc.constant("remove" as const), path }),
  );
  let accepted = 0;
  fc.assert(
    fc.property(text, edit, (before, wish) => {
      const source = readSource(before);
      const [doc] = source.docs;
      if (source.problems.length > 0 || doc === undefined) return;
      let after: string;
      try {
        after = applyEdits(before, 0, [wish]);
      } catch (error) {
        if (error instanceof EditError) return;
        throw error;
      }
      accepted++;
      const [now] = readSource(after).docs;
      const plain = JSON.parse(JSON.stringify(treeOf(doc)));
      expect(equal(now && treeOf(now), withEdit(plain, wish)), `${before}→\n${after}`).toBe(true);
    }),
    { numRuns: 3000 },
  );
  expect(accepted).toBeGreaterThan(300);
});

/** Each thing that can be done on the canvas, to each rule and peer of the policy above. */
test("on the canvas, what is accepted leaves every other rule as it was", () => {
  const rulesOf = (text: string) => {
    const spec = readObjects(text)[0]?.value["spec"];
    return isObject(spec) && Array.isArray(spec["egress"]) ? spec["egress"] : [];
  };
  const drawn = (text: string) => draw(readObjects(text)[0] as never) as Drawing;
  const { blocks } = drawn(SHARED);
  const block = blocks[0] as Drawing["blocks"][number];
  let [accepted, refusals] = [0, 0];
  const attempt = (at: number, change: Parameters<typeof applyChanges>[3][number]) => {
    let text: string;
    try {
      text = applyChanges(SHARED, 0, 0, [change]);
    } catch (error) {
      if (!(error instanceof EditError)) throw error;
      refusals++;
      expect(error.message).toMatch(/anchor `&\w+`/);
      return;
    }
    accepted++;
    const before = rulesOf(SHARED);
    const after = rulesOf(text);
    const others = before.filter((_, index) => index !== at);
    for (const one of others)
      expect(
        after.some((two) => equal(one, two)),
        text,
      ).toBe(true);
    for (const anchor of SHARED.match(/&\w+/g) ?? []) if (anchor !== "&alone") expect(text).toContain(anchor);
  };
  const port = { port: "9", endPort: null, protocol: "TCP" };
  block.rules.forEach((rule, at) => {
    for (const peer of rule.peers) {
      attempt(at, (now, here) => removePeer(now, here, rule, peer));
      attempt(at, (now, here) => setPeer(now, here, rule, peer, { kind: "entity", entity: "world" }));
    }
    attempt(at, (now) => setPorts(now, rule, rule.groups?.[0] ?? null, [port]));
  });
  for (const card of block.cards) {
    attempt(
      block.rules.findIndex((one) => one.label === card.rule.label),
      (now, here) => removeCard(now, here, card),
    );
  }
  attempt(-1, (now, here) =>
    setSubject(here, now.kind, { matchLabels: { app: "x" }, matchExpressions: null }),
  );
  attempt(-1, (now, here) =>
    addRule(now, here, "ingress", "allow", {
      peer: { kind: "entity", entity: "host" },
      ports: [],
      icmps: [],
      dns: null,
    }),
  );
  expect(accepted).toBeGreaterThan(6);
  expect(refusals).toBeGreaterThan(6);
});
