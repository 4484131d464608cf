/** Canvas → YAML → canvas: what is drawn of a policy, built again by steps of the canvas, is drawn the same. */
import { describe, expect, test } from "vitest";
import { applyChanges, type Change } from "../src/model/change";
import {
  type Block,
  type Card,
  type Drawing,
  type DrawnPeer,
  type DrawnRule,
  draw,
  isBare,
  type PortGroup,
} from "../src/model/draw";
import {
  ANY_NAME,
  addPeer,
  addRule,
  allowDns,
  removeCard,
  removePeer,
  removeRule,
  rename,
  setDescription,
  setDns,
  setIcmps,
  setNamespace,
  setPeer,
  setPorts,
  setSubject,
  switchDefaultDeny,
} from "../src/model/edits";
import { readObjects } from "../src/model/objects";
import type { Peer } from "../src/model/peer";
import { readSelector, type Selector, selectorText } from "../src/model/selector";
import { emptyPolicy } from "../src/model/templates";
import { MISSING, SEED, validPolicies } from "./policies";

function drawn(text: string): Drawing {
  const object = readObjects(text)[0];
  const drawing = object === undefined ? null : draw(object);
  if (drawing === null) throw new Error(`not drawn: ${text}`);
  return drawing;
}

/** A rule as the canvas shows it, whatever its place. */
function shown(rule: DrawnRule): string[] {
  const groups = (rule.groups ?? [])
    .map((group) => ({
      ports: group.ports.map(({ port }) => port),
      dns: (group.dns ?? []).length === 0 ? null : group.dns?.map((one) => one.item),
    }))
    .filter((group) => group.ports.length > 0 || group.dns !== null);
  const icmps = (rule.icmps ?? []).flatMap((group) => group.types.map((one) => one.icmp));
  const about = { direction: rule.direction, action: rule.action, groups, icmps };
  return rule.peers.map(({ peer }) => JSON.stringify({ ...about, peer: plain(peer) }));
}

/** Selectors that say the same in two ways are shown the same. */
function plain(peer: unknown): unknown {
  return JSON.parse(
    JSON.stringify(peer, (_key, value) =>
      value !== null && typeof value === "object" && "matchExpressions" in value
        ? selectorText(value as Selector)
        : value,
    ),
  );
}

function steps(block: Block): Change[] {
  const changes: Change[] = [];
  for (const rule of block.rules) {
    if (isBare(rule)) continue;
    const first = rule.groups?.[0];
    const icmps = (rule.icmps ?? []).flatMap((group) => group.types.map((one) => one.icmp));
    for (const { peer } of rule.peers) {
      const asked = (first?.dns ?? []).map((one) => one.item);
      changes.push((now, here) =>
        addRule(now, here, rule.direction, rule.action, {
          peer,
          ports: (first?.ports ?? []).map((one) => one.port),
          icmps,
          dns: asked.length > 0 ? asked : null,
        }),
      );
      for (const group of (rule.groups ?? []).slice(1)) changes.push(...more(rule, group));
    }
  }
  // On before off: a NetworkPolicy must deny in one direction.
  const switches = (["ingress", "egress"] as const).toSorted(
    (a, b) => Number(block.defaultDeny[b].on) - Number(block.defaultDeny[a].on),
  );
  for (const direction of switches) {
    const { on } = block.defaultDeny[direction];
    changes.push((now, here) => switchDefaultDeny(now, here, direction, on));
  }
  return changes;
}

/** A further group of ports goes to the rule that was added last. */
function more(rule: DrawnRule, group: PortGroup): Change[] {
  const last = (here: Block) =>
    here.rules.findLast((one) => one.direction === rule.direction && one.action === rule.action) as DrawnRule;
  const dns = group.dns;
  return [
    (now, here) =>
      setPorts(
        now,
        last(here),
        null,
        group.ports.map((one) => one.port),
      ),
    (now, here) => {
      const made = last(here).groups?.at(-1);
      return dns === null || made === undefined
        ? []
        : setDns(
            now,
            made,
            dns.map((one) => one.item),
          );
    },
  ];
}

describe.skipIf(MISSING !== null)("valid policies of the conformance data", () => {
  test("built again on an empty canvas, they are drawn the same", () => {
    let built = 0;
    for (const policy of validPolicies()) {
      const before = drawn(JSON.stringify(policy));
      const [block] = before.blocks;
      const whole = before.blocks.length === 1 && before.kept.length === 0 && block?.kept.length === 0;
      const clean = block?.rules.every((rule) => rule.kept.length === 0 && !odd(rule));
      if (!whole || !clean || block === undefined || block.subject === null) continue;
      const { subject, description } = block;
      const text = applyChanges(emptyPolicy(before.kind, "empty", ""), 0, 0, [
        (now) => rename(now, before.name),
        (now) => setNamespace(now, before.object.namespace),
        (now, here) => setSubject(here, now.kind, subject.selector),
        (_now, here) => setDescription(here, description ?? ""),
        ...steps(block),
      ]);
      const after = drawn(text);
      const again = after.blocks[0] as Block;
      const what = `${JSON.stringify(policy)}\n${text}`;
      expect([after.name, after.namespace], what).toEqual([before.name, before.namespace]);
      expect(again.subject?.selector, what).toEqual(subject.selector);
      for (const direction of ["ingress", "egress"] as const) {
        expect(again.defaultDeny[direction].on, what).toBe(block.defaultDeny[direction].on);
      }
      const rules = (one: Block) =>
        one.rules
          .filter((rule) => !isBare(rule))
          .flatMap(shown)
          .sort();
      expect(rules(again), what).toEqual(rules(block));
      built++;
    }
    expect(built).toBeGreaterThan(850);
  });
});

/** Forms that say nothing, or two things at once: read and kept, never written by the canvas. */
function odd(rule: DrawnRule): boolean {
  const nobody = rule.peers.some((one) => one.peer.kind === "nobody");
  const empty = (rule.groups ?? []).some((group) => group.ports.length === 0);
  const noTypes = (rule.icmps ?? []).some((group) => group.types.length === 0);
  const several = (rule.groups ?? []).length > 1 && rule.peers.length > 1;
  return nobody || empty || noTypes || several || rule.lists.length > 1;
}

test("the seed's policy, built by clicks, is the seed's policy", () => {
  const backend = readSelector("app=backend") as Selector;
  const text = applyChanges(emptyPolicy("CiliumNetworkPolicy", "my-policy", ""), 0, 0, [
    (now) => rename(now, "backend-egress-allow-fqdn"),
    (now, here) => setSubject(here, now.kind, backend),
    (now, here) => allowDns(now, here, ANY_NAME),
    (now, here) =>
      addRule(now, here, "egress", "allow", {
        peer: { kind: "name", match: "matchName", value: "kubernetes.io" },
        ports: [],
        icmps: [],
        dns: null,
      }),
  ]);
  expect(readObjects(text)[0]?.value).toEqual(readObjects(SEED)[0]?.value);
});

describe("steps of the canvas", () => {
  const change = (text: string, ...changes: Change[]) => applyChanges(text, 0, 0, changes);
  const name =
    (value: string): Change =>
    (now, here) =>
      addRule(now, here, "egress", "allow", {
        peer: { kind: "name", match: "matchName", value },
        ports: [],
        icmps: [],
        dns: null,
      });

  test("a second name joins the rule of the first", () => {
    expect(change(SEED, name("cilium.io"))).toBe(`${SEED}        - matchName: cilium.io\n`);
  });

  test("a name whose questions are allowed already needs no DNS rule", () => {
    expect(change(SEED, (now, here) => allowDns(now, here, { match: "matchName", value: "cilium.io" }))).toBe(
      SEED,
    );
  });

  test("a name joins the DNS rule that lists names", () => {
    const listed = SEED.replace('matchPattern: "*"', "matchName: kubernetes.io # ours");
    const text = change(listed, (now, here) =>
      allowDns(now, here, { match: "matchName", value: "cilium.io" }),
    );
    expect(text).toBe(listed.replace("# ours\n", "# ours\n              - matchName: cilium.io\n"));
  });

  test("removing the last rule of a direction leaves default deny on", () => {
    const one = `spec:\n  endpointSelector: {}\n  egress: # out\n  - toEntities: [world]\n`;
    const text = `apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {name: a}\n${one}`;
    const after = change(text, (now, here) => removeRule(now, here, here.rules[0] as DrawnRule));
    expect(after).toBe(text.replace("- toEntities: [world]", "- {}"));
    expect(drawn(after).blocks[0]?.defaultDeny.egress.on).toBe(true);
  });

  test("an item of a List is edited where it stands", () => {
    const text = `apiVersion: v1
kind: List
items:
- kind: ConfigMap # not ours
  apiVersion: v1
- apiVersion: cilium.io/v2
  kind: CiliumNetworkPolicy
  metadata: {name: a}
  specs:
  - endpointSelector: {}
    egress: [{}]
  - endpointSelector: {}
    ingress:
    - fromEntities: [host]
# the end
`;
    const after = applyChanges(text, 1, 0, [name("kubernetes.io")]);
    expect(after).toBe(text.replace("[{}]", "[{toFQDNs: [{matchName: kubernetes.io}]}]"));
    const other = applyChanges(text, 1, 1, [(_now, here) => setDescription(here, "second")]);
    expect(other).toBe(text.replace("[host]\n", "[host]\n    description: second\n"));
  });

  test("a card of an earlier drawing is as good", () => {
    const [first, second] = drawn(SEED).blocks[0]?.cards ?? [];
    const once = change(SEED, (now, here) => removeCard(now, here, second as Card));
    const card = drawn(once).blocks[0]?.cards[0];
    expect(card).toEqual(first);
    const twice = change(once, (now, here) => removeCard(now, here, card as Card));
    expect(readObjects(twice)[0]?.value["spec"]).toMatchObject({ egress: [{}] });
  });

  test("removing the last egress rule of a NetworkPolicy without policyTypes leaves egress denied", () => {
    const text = `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: a}
spec:
  podSelector: {}
  egress:
  - ports:
    - port: 443
`;
    const after = change(text, (now, here) => removeRule(now, here, here.rules[0] as DrawnRule));
    expect(readObjects(after)[0]?.value["spec"]).toEqual({
      podSelector: {},
      policyTypes: ["Ingress", "Egress"],
    });
  });

  test("default deny goes off by taking away what turned it on, else by the flag", () => {
    const deny = `apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: a}
spec:
  endpointSelector: {}
  ingress:
  - {} # nobody
  egress:
  - toEntities: [world]
`;
    const off = change(deny, (now, here) => switchDefaultDeny(now, here, "ingress", false));
    expect(off).toBe(deny.replace("  ingress:\n  - {} # nobody\n", ""));
    const both = change(off, (now, here) => switchDefaultDeny(now, here, "egress", false));
    expect(both).toBe(`${off}  enableDefaultDeny:\n    egress: false\n`);
    const on = change(both, (now, here) => switchDefaultDeny(now, here, "egress", true));
    expect(on).toBe(off);
  });

  test("anyone on all ports is an entity: an empty rule would be nobody", () => {
    const text = change(SEED, (now, here) =>
      addRule(now, here, "egress", "allow", { peer: { kind: "any" }, ports: [], icmps: [], dns: null }),
    );
    expect(text).toBe(`${SEED}    - toEntities:\n        - all\n`);
  });

  test("a peer more has all that its rule has, also in a rule of its own", () => {
    const text = `apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: a}
spec:
  endpointSelector: {}
  ingress:
  - fromEntities: [host]
    toPorts:
    - ports: [{port: "80"}]
      rules: {http: [{method: GET}]}
`;
    const add = (peer: Peer) => change(text, (now, here) => addPeer(now, here.rules[0] as DrawnRule, peer));
    expect(add({ kind: "entity", entity: "world" })).toBe(text.replace("[host]", "[host, world]"));
    const other = readObjects(add({ kind: "cidr", cidr: "192.0.2.0/24", except: null, plain: true }))[0];
    expect(other?.value["spec"]).toMatchObject({
      ingress: [
        { fromEntities: ["host"] },
        {
          fromCIDR: ["192.0.2.0/24"],
          toPorts: [{ ports: [{ port: "80" }], rules: { http: [{ method: "GET" }] } }],
        },
      ],
    });
  });

  test("a selector changes in the labels that differ", () => {
    const text = `apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: a}
spec:
    endpointSelector:
        matchLabels: # who
            # the shop's
            "app": 'web' # quoted
            tier: front
    ingress:
        - fromEndpoints:
              - matchLabels: {app:   old, zone: a} # spaced
              - matchExpressions:
                    - {key: tier, operator: In, values: [a, b]} # tiers
`;
    const label = (from: string) => readSelector(from) as Selector;
    const subject = (from: string) => change(text, (now, here) => setSubject(here, now.kind, label(from)));
    expect(subject("app=web, tier=back")).toBe(text.replace("tier: front", "tier: back"));
    expect(subject("app=web, layer=front")).toBe(text.replace("tier: front", "layer: front"));
    expect(subject("app=web")).toBe(text.replace("            tier: front\n", ""));
    expect(subject("app=web, tier=front, x=z")).toBe(
      text.replace("tier: front\n", "tier: front\n            x: z\n"),
    );
    const peer = (nth: number, from: string): string =>
      change(text, (now, here) => {
        const rule = here.rules[0] as DrawnRule;
        const pods: Peer = { kind: "pods", pods: label(from), namespaces: null };
        return setPeer(now, here, rule, rule.peers[nth] as DrawnPeer, pods);
      });
    expect(peer(0, "app=new, zone=a")).toBe(text.replace("app:   old", "app:   new"));
    expect(peer(1, "tier in (a, c)")).toBe(text.replace("[a, b]", "[a, c]"));
  });

  test("a peer goes with its list where the rule has others", () => {
    const text = `apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: a}
spec:
  endpointSelector: {}
  egress:
  - toCIDR: [192.0.2.0/24]
    toEntities: [host] # stays
`;
    const after = change(text, (now, here) => {
      const rule = here.rules[0] as DrawnRule;
      return removePeer(now, here, rule, rule.peers[0] as DrawnPeer);
    });
    expect(after).toBe(text.replace("toCIDR: [192.0.2.0/24]\n    ", ""));
  });

  test("taking ICMP types away leaves no empty list", () => {
    const text = `${SEED}      icmps:\n        - fields:\n            - type: 8\n`;
    const after = change(text, (_now, here) => setIcmps(here.rules[1] as DrawnRule, []));
    expect(after).toBe(SEED);
  });
});
