/** The texts of the dialogs: what a form shows of a peer or a port is what it says when it is sent. */
import { describe, expect, test } from "vitest";
import { emptyForm, formKinds, formOf, peersOf } from "../src/canvas/peer-form";
import { type Drawing, draw } from "../src/model/draw";
import { KINDS, readObjects } from "../src/model/objects";
import { memberOf, type Peer, peerText } from "../src/model/peer";
import { portText, portValue, readPorts } from "../src/model/port";
import { MISSING, validPolicies } from "./policies";

const drawings = validPolicies().map(
  (policy) => draw(readObjects(JSON.stringify(policy))[0] as never) as Drawing,
);

describe.skipIf(MISSING !== null)("over all valid policies of the conformance data", () => {
  test("a peer's form, sent as it is, is that peer", () => {
    let seen = 0;
    for (const { kind, blocks } of drawings) {
      for (const rule of blocks.flatMap((block) => block.rules)) {
        for (const { peer } of rule.peers) {
          if (peer.kind === "kept" || peer.kind === "nobody") continue;
          const form = formOf(peer, emptyForm(kind, rule.direction, "outside"));
          expect(formKinds(kind, rule.direction, rule.action)).toContain(form.kind);
          const { peers, errors } = peersOf(form, kind, peer);
          expect(errors, JSON.stringify(peer)).toEqual({});
          const written = peers.map((one) => memberOf(one, kind, rule.direction));
          expect(written).toEqual([memberOf(peer, kind, rule.direction)]);
          seen++;
        }
      }
    }
    expect(seen).toBeGreaterThan(1000);
  });

  test("a new peer with the same form means the same", () => {
    for (const { kind, blocks } of drawings) {
      for (const rule of blocks.flatMap((block) => block.rules)) {
        for (const { peer } of rule.peers) {
          if (peer.kind !== "pods") continue;
          const form = formOf(peer, emptyForm(kind, rule.direction, "cluster"));
          if (kind === "CiliumClusterwideNetworkPolicy" && form.where === "every") continue; // it is what is meant anyway
          const [again] = peersOf(form, kind, null).peers;
          expect(again === undefined ? null : formOf(again, form), JSON.stringify(peer)).toEqual(form);
        }
      }
    }
  });

  test("a port's text is that port", () => {
    for (const { kind, blocks } of drawings) {
      const kubernetes = kind === "NetworkPolicy";
      const groups = blocks.flatMap((block) => block.rules).flatMap((rule) => rule.groups ?? []);
      for (const { port } of groups.flatMap((group) => group.ports)) {
        const text = portText(port, kubernetes ? "TCP" : "ANY");
        const read = readPorts(text, kubernetes);
        if (typeof read === "string") {
          // Odd ones (a range of a name, an end before its beginning) are shown, and kept while not touched.
          expect(port.endPort !== null || text === "all/ANY", text).toBe(true);
          continue;
        }
        expect(read.ports.map((one) => portText(one, "ANY"))).toEqual([text]);
        if (port.protocol !== null) expect(read.ports.map(portValue)).toEqual([portValue(port)]);
      }
    }
  });
});

const form = emptyForm("CiliumNetworkPolicy", "egress", "outside");

test.each<[string, Partial<typeof form>, Peer[]]>([
  [
    "a star makes a pattern",
    { names: "a.io, *.b.io" },
    [
      { kind: "name", match: "matchName", value: "a.io" },
      { kind: "name", match: "matchPattern", value: "*.b.io" },
    ],
  ],
  [
    "an address is a range of one",
    { kind: "cidr", cidrs: "203.0.113.7 2001:db8::1" },
    [
      { kind: "cidr", cidr: "203.0.113.7/32", except: null, plain: true },
      { kind: "cidr", cidr: "2001:db8::1/128", except: null, plain: true },
    ],
  ],
  [
    "a namespace is a label of Cilium's",
    { kind: "pods", labels: "app=web", where: "named", namespace: "shop" },
    [
      {
        kind: "pods",
        pods: {
          matchLabels: { "k8s:io.kubernetes.pod.namespace": "shop", app: "web" },
          matchExpressions: null,
        },
        namespaces: null,
      },
    ],
  ],
])("%s", (_name, part, peers) => {
  expect(peersOf({ ...form, ...part }, "CiliumNetworkPolicy", null)).toEqual({ peers, errors: {} });
});

test.each<[keyof typeof form, Partial<typeof form>]>([
  ["names", { names: "" }],
  ["names", { names: "no spaces!" }],
  ["cidrs", { kind: "cidr", cidrs: "203.0.113.0/33" }],
  ["cidrs", { kind: "cidr", cidrs: "300.0.0.0/8" }],
  ["except", { kind: "cidr", cidrs: "10.0.0.0/8 11.0.0.0/8", except: "10.1.0.0/16" }],
  ["labels", { kind: "pods", labels: "app=(web" }],
  ["namespace", { kind: "pods", where: "named", namespace: "Not a name" }],
  ["service", { kind: "service", service: "" }],
])("what is wrong with %s is said there", (field, part) => {
  const { peers, errors } = peersOf({ ...form, ...part }, "CiliumNetworkPolicy", null);
  expect(peers).toEqual([]);
  expect(errors[field]).toMatch(/\w/);
});

test.each([
  ["https://kubernetes.io/docs", "the rest of the link"],
  ["kubernetes.io:443", "a field of its own"],
  ["a..io", "before one of its dots"],
  ["münchen.de", "letters, digits"],
])("%s is no name, and why is said", (names, why) => {
  expect(peersOf({ ...form, names }, "CiliumNetworkPolicy", null).errors.names).toContain(why);
});

test.each(["443/FOO", "70000", "9-8", "!", "icmp", "53/"])("%s is no port", (text) => {
  expect(readPorts(text, false)).toMatch(/`/);
});

test("a range has numbers at both ends, a name may end in one", () => {
  expect(readPorts("web-2, 80-81/UDP, 8080-tcp", false)).toEqual({
    ports: [
      { port: "web-2", endPort: null, protocol: "TCP" },
      { port: "80", endPort: 81, protocol: "UDP" },
      { port: "8080-tcp", endPort: null, protocol: "TCP" },
    ],
    icmps: [],
  });
});

test("a peer that is kept is shown as YAML has it", () => {
  const value = { cidrGroupRef: "office", except: ["192.0.2.0/25"] };
  expect(peerText({ kind: "kept", value })).toBe('cidrGroupRef: office, except: ["192.0.2.0/25"]');
});

test("kinds say what they can", () => {
  expect(KINDS.map((kind) => formKinds(kind, "egress", "allow").includes("name"))).toEqual([
    true,
    true,
    false,
  ]);
  expect(formKinds("CiliumNetworkPolicy", "egress", "deny")).not.toContain("name");
  expect(formKinds("CiliumNetworkPolicy", "ingress", "allow")).not.toContain("service");
});
