/** Over all valid policies of the conformance data: nothing is hidden, nothing is lost, nothing else changes. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { applyChanges, type Change } from "../src/model/change";
import { type Block, type Drawing, draw } from "../src/model/draw";
import {
  addRule,
  removeCard,
  removePeer,
  rename,
  setAudit,
  setDns,
  setPeer,
  setPorts,
  setSubject,
  switchDefaultDeny,
} from "../src/model/edits";
import { readObjects } from "../src/model/objects";
import type { Peer } from "../src/model/peer";
import { readSelector, type Selector, selectorText } from "../src/model/selector";
import { readSource } from "../src/model/source";
import { EditError } from "../src/model/splice";
import { equal, type JsonObject } from "../src/model/value";
import { MISSING, STYLES, validPolicies } from "./policies";
import { undraw } from "./undraw";

const POLICIES = validPolicies();
const styles = Object.entries(STYLES);

function drawn(text: string): Drawing {
  const object = readObjects(text)[0];
  const drawing = object === undefined ? null : draw(object);
  if (drawing === null) throw new Error(`not drawn: ${text}`);
  return drawing;
}

describe.skipIf(MISSING !== null)(`valid policies of the conformance data${MISSING ?? ""}`, () => {
  test("there are many", () => expect(POLICIES.length).toBeGreaterThan(900));

  test("what is drawn, with what is kept, is all there is", () => {
    for (const policy of POLICIES) {
      const again = undraw(drawn(STYLES["lists indented"]?.(policy) ?? ""));
      if (!equal(again, withoutEmptyFlags(policy))) expect(again).toEqual(policy);
    }
  });

  test.each(styles)("no edit is no change: %s", (_name, write) => {
    for (const policy of POLICIES.slice(0, 300)) {
      const text = write(policy);
      expect(applyChanges(text, 0, 0, [() => []])).toBe(text);
    }
  });

  test("edits in every layout change what they say and nothing else", () => {
    const policy = fc.constantFrom(...POLICIES);
    const style = fc.constantFrom(...styles);
    const wish = fc.record({ what: fc.constantFrom(...Object.keys(WISHES)), nth: fc.nat(), block: fc.nat() });
    fc.assert(
      fc.property(
        policy,
        style,
        fc.array(wish, { minLength: 1, maxLength: 4 }),
        (one, [layout, write], wishes) => {
          // A file of three documents: the middle one is edited, its neighbours must not move.
          const before = "# the first\nkind: ConfigMap\nmetadata: {name:   odd}\n---\n";
          const after = "\n---\n# the last\na:   [1,2]\n";
          let text = before + write(one) + after;
          let value = one;
          for (const { what, nth, block } of wishes) {
            const drawing = draw(readObjects(text)[1] as never);
            if (drawing === null || drawing.blocks.length === 0) break;
            const at = block % drawing.blocks.length;
            const change = WISHES[what]?.(nth);
            if (change === undefined) continue;
            let next: string;
            try {
              next = applyChanges(text, 1, at, [change]);
            } catch (error) {
              if (error instanceof EditError) continue; // said, and nothing done
              throw error;
            }
            expect(next.startsWith(before)).toBe(true);
            expect(next.endsWith(after.trimStart())).toBe(true);
            expect(readSource(next).problems).toEqual([]);
            if (layout.startsWith("JSON")) JSON.parse(next.slice(before.length, next.lastIndexOf("---\n")));
            value = undraw(draw(readObjects(next)[1] as never) as Drawing);
            expect(value).toEqual(withoutEmptyFlags(readObjects(next)[1]?.value ?? {}));
            text = next;
          }
        },
      ),
      { numRuns: 400 },
    );
  });

  test("an added peer, removed again, leaves the meaning as it was", () => {
    const policy = fc.constantFrom(...POLICIES);
    fc.assert(
      fc.property(policy, fc.constantFrom("ingress", "egress"), (one, direction) => {
        const text = STYLES["comments everywhere"]?.(one) ?? "";
        const { blocks, kind } = drawn(text);
        if (blocks.length === 0) return;
        const peer: Peer = {
          kind: "cidr",
          cidr: "198.51.100.77/32",
          except: null,
          plain: kind !== "NetworkPolicy",
        };
        const add: Change = (now, here) =>
          addRule(now, here, direction, "allow", { peer, ports: [], icmps: [], dns: null });
        const remove: Change = (now, here) => {
          const rule = here.rules.find((two) => two.peers.some((three) => equal(three.peer, peer)));
          const found = rule?.peers.find((three) => equal(three.peer, peer));
          if (rule === undefined || found === undefined) throw new Error("not there");
          return removePeer(now, here, rule, found);
        };
        const added = applyChanges(text, 0, 0, [add]);
        for (const line of text.split("\n")) {
          const comment = /# c\d+$/.exec(line)?.[0];
          if (comment !== undefined) expect(added).toContain(comment);
        }
        const rules = (block: Block | undefined) =>
          (block?.rules ?? []).map((rule) => ({
            peers: rule.peers.map((two) => two.peer),
            action: rule.action,
          }));
        const before = rules(blocks[0]).filter((rule) => rule.peers[0]?.kind !== "nobody");
        const after = rules(drawn(applyChanges(added, 0, 0, [remove])).blocks[0]);
        expect(after.filter((rule) => rule.peers[0]?.kind !== "nobody")).toEqual(before);
      }),
      { numRuns: 300 },
    );
  });

  test("selectors are read as they are written", () => {
    for (const policy of POLICIES) {
      for (const selector of selectors(drawn(JSON.stringify(policy)))) {
        const text = selectorText(selector);
        const again = readSelector(text);
        expect(typeof again, text).not.toBe("string");
        expect(selectorText(again as Selector)).toBe(text);
      }
    }
  });
});

/** `enableDefaultDeny: {}` says nothing. */
function withoutEmptyFlags(policy: JsonObject): JsonObject {
  const copy = structuredClone(policy);
  const specs = [copy["spec"], ...(Array.isArray(copy["specs"]) ? copy["specs"] : [])] as JsonObject[];
  for (const spec of specs) {
    if (spec !== undefined && equal(spec["enableDefaultDeny"], {})) delete spec["enableDefaultDeny"];
  }
  return copy;
}

function selectors(drawing: Drawing): Selector[] {
  return drawing.blocks.flatMap((block) => {
    const peers = block.rules.flatMap((rule) => rule.peers.map(({ peer }) => peer));
    const pods = peers.flatMap((peer) => (peer.kind === "pods" ? [peer.pods, peer.namespaces] : []));
    return [block.subject?.selector ?? null, ...pods].filter((one) => one !== null);
  });
}

function pick<T>(all: readonly T[], nth: number): T | undefined {
  return all.length === 0 ? undefined : all[nth % all.length];
}

/** Things people do on the canvas. */
const WISHES: Record<string, (nth: number) => Change> = {
  rename: (nth) => (drawing) => rename(drawing, `name-${nth}`),
  audit: () => (drawing) => setAudit(drawing, !drawing.audit),
  subject: (nth) => (drawing, block) =>
    setSubject(block, drawing.kind, { matchLabels: { app: `a${nth}` }, matchExpressions: null }),
  "add a name": (nth) => (drawing, block) =>
    addRule(drawing, block, "egress", "allow", {
      peer: { kind: "name", match: "matchName", value: `n${nth}.example.com` },
      ports: [],
      icmps: [],
      dns: null,
    }),
  "deny a range": (nth) => (drawing, block) =>
    addRule(
      drawing,
      block,
      nth % 2 ? "ingress" : "egress",
      drawing.kind === "NetworkPolicy" ? "allow" : "deny",
      {
        peer: { kind: "cidr", cidr: `10.${nth % 256}.0.0/16`, except: null, plain: true },
        ports: [{ port: nth % 3 ? "443" : "http", endPort: null, protocol: "TCP" }],
        icmps: [],
        dns: null,
      },
    ),
  "remove a card": (nth) => (drawing, block) => {
    const card = pick(block.cards, nth);
    return card === undefined ? [] : removeCard(drawing, block, card);
  },
  "remove a peer": (nth) => (drawing, block) => {
    const rule = pick(block.rules, nth);
    const peer = rule === undefined ? undefined : pick(rule.peers, nth);
    return rule === undefined || peer === undefined ? [] : removePeer(drawing, block, rule, peer);
  },
  "change a peer": (nth) => (drawing, block) => {
    const rule = pick(block.rules, nth);
    const peer = rule === undefined ? undefined : pick(rule.peers, nth);
    if (rule === undefined || peer === undefined) return [];
    const pods: Selector = { matchLabels: { tier: `t${nth}` }, matchExpressions: null };
    return setPeer(drawing, block, rule, peer, { kind: "pods", pods, namespaces: null });
  },
  "change the ports": (nth) => (drawing, block) => {
    const rule = pick(block.rules, nth);
    const group = pick(rule?.groups ?? [], nth) ?? null;
    if (rule === undefined) return [];
    const some = group === null ? [] : group.ports.slice(1).map(({ port }) => port);
    const ports = nth % 4 === 0 ? [] : [...some, { port: "8443", endPort: null, protocol: "TCP" }];
    return setPorts(drawing, rule, group, ports);
  },
  "change the names asked": (nth) => (drawing, block) => {
    const groups = block.rules.flatMap((rule) => (rule.direction === "egress" ? (rule.groups ?? []) : []));
    const group = pick(groups, nth);
    if (group === undefined || drawing.kind === "NetworkPolicy") return [];
    return setDns(drawing, group, nth % 3 === 0 ? null : [{ match: "matchPattern", value: `*.n${nth}.org` }]);
  },
  "switch default deny": (nth) => (drawing, block) => {
    const direction = nth % 2 ? "ingress" : "egress";
    return switchDefaultDeny(drawing, block, direction, !block.defaultDeny[direction].on);
  },
};
