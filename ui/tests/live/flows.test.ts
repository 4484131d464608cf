/** From lines of the stream to rows, their store and their filters. */

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { isBackground } from "../../src/live/model/background";
import {
  compileFilter,
  EVERYTHING,
  type Filter,
  filterOf,
  isEverything,
  portProblem,
  queryOf,
} from "../../src/live/model/filter";
import { parseLine, type Row, reasonWords, VERDICTS } from "../../src/live/model/flow";
import { Lines } from "../../src/live/model/lines";
import { Matches } from "../../src/live/model/matches";
import { Parties, workloadOf } from "../../src/live/model/party";
import { FlowStore } from "../../src/live/model/store";
import type { WireFlow } from "../../src/live/model/wire";
import { LARGE, SMALL, World } from "../../src/live/testing/world";

const START = Date.UTC(2026, 10, 23, 12);

function line(flow: Partial<WireFlow>): string {
  return JSON.stringify({
    flow: { uuid: "u", time: "2026-11-23T12:00:00.123456789Z", verdict: "FORWARDED", ...flow },
  });
}

function row(flow: Partial<WireFlow>): Row {
  const parsed = parseLine(line(flow), 1, new Parties());
  if (parsed === null || "lost" in parsed) throw new Error("no row");
  return parsed.row;
}

const BACKEND = {
  namespace: "default",
  pod_name: "backend-6d5-x",
  workloads: [{ name: "backend", kind: "Deployment" }],
};
const DNS = {
  namespace: "kube-system",
  pod_name: "cluster-dns-1",
  workloads: [{ name: "cluster-dns", kind: "Deployment" }],
};

describe("a line of the stream", () => {
  test("is a row with the workload, the name and the port", () => {
    const found = row({
      verdict: "DROPPED",
      drop_reason_desc: "POLICY_DENIED",
      IP: { source: "10.0.0.1", destination: "203.0.113.7" },
      l4: { TCP: { source_port: 40000, destination_port: 443 } },
      source: BACKEND,
      destination: { identity: 9 },
      destination_names: ["Cilium.io."],
      traffic_direction: "EGRESS",
      event_type: { type: 5 },
      namewall: {
        times: 3,
        rules: [],
        selected_by: [{ kind: "CiliumNetworkPolicy", namespace: "default", name: "p" }],
      },
    });
    expect(found).toMatchObject({
      port: 443,
      protocol: "TCP",
      verdict: "dropped",
      direction: "egress",
      times: 3,
    });
    expect(found.source.id).toBe("workload/default/backend");
    expect(found.destination.id).toBe("name/cilium.io");
    expect(found.policies).toEqual(["default/p"]);
    expect(found.time).toBe(START + 123);
  });

  test("of an answer is turned around: who asked is the source", () => {
    const found = row({
      is_reply: true,
      IP: { source: "10.0.0.2", destination: "10.0.0.1" },
      l4: { UDP: { source_port: 53, destination_port: 40000 } },
      source: DNS,
      destination: BACKEND,
      l7: { type: "RESPONSE", dns: { query: "kubernetes.io." } },
    });
    expect(found.source.text).toBe("default/backend");
    expect(found.destination.text).toBe("kube-system/cluster-dns");
    expect(found).toMatchObject({
      port: 53,
      query: "kubernetes.io",
      sourceAddress: "10.0.0.1",
      kind: "dns-response",
    });
  });

  test("names ends as observe does: pod, Service, name, entity, address", () => {
    const end = (flow: Partial<WireFlow>) =>
      row({ IP: { source: "10.0.0.1", destination: "192.0.2.1" }, ...flow }).destination;
    const service = { name: "web", namespace: "shop" };
    expect(end({ destination: BACKEND, destination_service: service }).kind).toBe("workload");
    expect(end({ destination_service: service, destination_names: ["a.example"] }).id).toBe(
      "service/shop/svc/web",
    );
    expect(end({ destination_names: ["a.example"], destination: { identity: 1 } }).kind).toBe("name");
    expect(end({ destination: { identity: 1 } }).id).toBe("entity/host");
    expect(end({ destination: { identity: 9 } }).id).toBe("address/192.0.2.1");
  });

  test("that is none is told apart from lost events", () => {
    const parties = new Parties();
    expect(parseLine("{", 1, parties)).toBeNull();
    expect(parseLine("[]", 1, parties)).toBeNull();
    expect(parseLine("null", 1, parties)).toBeNull();
    expect(
      parseLine('{"lost_events":{"source":"HUBBLE_RING_BUFFER","num_events_lost":"12"}}', 1, parties),
    ).toEqual({
      lost: { source: "HUBBLE_RING_BUFFER", count: 12 },
    });
  });

  test("has reasons in words", () => {
    expect(reasonWords("POLICY_DENIED")).toBe("Policy denied");
    expect(reasonWords("DNS_REFUSED")).toBe("DNS refused");
  });
});

test("background is what passed of DNS, and neighbours that look for each other", () => {
  const dns = {
    l4: { UDP: { destination_port: 53 } },
    IP: { source: "10.0.0.1", destination: "10.96.0.10" },
  };
  expect(isBackground(row(dns))).toBe(true);
  expect(isBackground(row({ ...dns, verdict: "DROPPED" }))).toBe(false);
  const between = (source: string, destination: string) =>
    row({ verdict: "DROPPED", IP: { source, destination } });
  expect(isBackground(between("fe80::1", "ff02::2"))).toBe(true);
  expect(isBackground(between("2001:db8::1", "febf::1"))).toBe(true);
  expect(isBackground(between("10.0.0.1", "169.254.169.254"))).toBe(false);
  expect(isBackground(between("fd4e::1", "2001:db8::2"))).toBe(false);
});

test("whole lines come out of pieces, wherever they were cut", () => {
  const text = new World(SMALL)
    .lines(20, START)
    .map((each) => `${each}\n`)
    .join("");
  fc.assert(
    fc.property(fc.array(fc.nat(text.length), { maxLength: 30 }), (cuts) => {
      const lines = new Lines();
      const at = [0, ...cuts.sort((a, b) => a - b), text.length];
      const found = at.slice(1).flatMap((end, index) => lines.take(text.slice(at[index], end)));
      expect(found.join("\n")).toBe(text.trimEnd());
    }),
    { numRuns: 50 },
  );
});

describe("the store", () => {
  test("keeps the newest, without gaps, and tells what goes", () => {
    const store = new FlowStore(100);
    const lines = new World(SMALL).lines(350, START);
    const gone: Row[] = [];
    for (let at = 0; at < lines.length; at += 70)
      gone.push(...store.addLines(lines.slice(at, at + 70)).evicted);
    const kept = [...store.rows];
    expect(kept.length).toBe(100);
    expect([...gone, ...kept].map((each) => each.seq)).toEqual(lines.map((_, index) => index + 1));
    expect(store.lastUuid).toBe(kept.at(-1)?.uuid);
    expect(store.first).toBe(251);
  });

  test("counts lost events and broken lines, and goes on", () => {
    const store = new FlowStore();
    store.addLines([
      "{",
      '{"lost_events":{"source":"A","num_events_lost":"2"}}',
      '{"lost_events":{"source":"A","num_events_lost":"3"}}',
      line({}),
    ]);
    expect(store.lost.get("A")).toBe(5);
    expect(store.broken).toBe(1);
    expect(store.rows.length).toBe(1);
  });

  test("takes ten seconds of 500 flows a second in much less", () => {
    const lines = new World(LARGE).lines(5000, START);
    const store = new FlowStore();
    const begin = performance.now();
    for (let at = 0; at < lines.length; at += 8) store.addLines(lines.slice(at, at + 8));
    expect(performance.now() - begin).toBeLessThan(2000);
    expect(store.rows.length).toBe(5000);
  });
});

describe("a filter", () => {
  const store = new FlowStore();
  store.addLines(new World(LARGE).lines(3000, START));
  const rows = [...store.rows];
  const passing = (filter: Partial<Filter>): Row[] =>
    rows.filter(compileFilter({ ...EVERYTHING, ...filter }));

  test("of nothing lets all through", () => {
    expect(passing({}).length).toBe(rows.length);
    expect(isEverything(EVERYTHING)).toBe(true);
  });

  test("finds workloads by part, leaves out by !, takes * for any run", () => {
    const ends = (each: Row) =>
      [each.source, each.destination].filter((end) => end.kind !== "name").map((end) => end.text);
    expect(passing({ workload: "shop/back" }).length).toBeGreaterThan(0);
    for (const each of passing({ workload: "shop/back" })) expect(ends(each).join()).toContain("shop/back");
    for (const each of passing({ workload: "!cluster-dns" }))
      expect(ends(each).join()).not.toContain("cluster-dns");
    for (const each of passing({ workload: "*/db" }))
      expect(ends(each).some((end) => end.endsWith("/db"))).toBe(true);
    expect(passing({ workload: "shop/back data/" }).length).toBeGreaterThan(
      passing({ workload: "shop/back" }).length,
    );
  });

  test("finds names that were spoken to or asked for", () => {
    for (const each of passing({ name: "*.python.org" })) {
      expect([each.destination.text, each.query].some((name) => name.endsWith(".python.org"))).toBe(true);
    }
    expect(passing({ name: "python" }).some((each) => each.query !== "")).toBe(true);
  });

  test("takes ports, ranges and protocols, and says what is no port", () => {
    for (const each of passing({ port: "53/udp 8000-9000" })) {
      expect((each.port === 53 && each.protocol === "UDP") || (each.port >= 8000 && each.port <= 9000)).toBe(
        true,
      );
    }
    expect(passing({ port: "udp" }).every((each) => each.protocol === "UDP")).toBe(true);
    expect(portProblem("443 8000-8999 53/udp tcp !80")).toBe("");
    expect(portProblem("44x3")).toContain("`44x3`");
    expect(passing({ port: "44x3" }).length).toBe(rows.length);
  });

  test("of verdicts and directions", () => {
    expect(passing({ verdicts: new Set(["dropped"]) }).every((each) => each.verdict === "dropped")).toBe(
      true,
    );
    const sum = VERDICTS.map((verdict) => passing({ verdicts: new Set([verdict]) }).length).reduce(
      (a, b) => a + b,
    );
    expect(sum).toBe(rows.length);
    expect(passing({ direction: "ingress" }).every((each) => each.source.id === "entity/host")).toBe(true);
    expect(passing({ direction: "ingress" }).length).toBeGreaterThan(0);
  });

  test("with many stars is quick", () => {
    const begin = performance.now();
    passing({ workload: `${"*a".repeat(40)}*x` });
    expect(performance.now() - begin).toBeLessThan(500);
  });

  test("stands in the address and comes back from it", () => {
    const text = fc.stringMatching(/^[a-z0-9./* !-]{0,12}$/).map((each) => each.trim());
    const some = fc.record({
      workload: text,
      name: text,
      port: text,
      policy: text,
      direction: fc.constantFrom("" as const, "ingress" as const, "egress" as const),
      verdicts: fc.subarray([...VERDICTS], { minLength: 1 }).map((each) => new Set(each)),
    });
    fc.assert(
      fc.property(some, (filter) => {
        expect(filterOf(new URLSearchParams(queryOf(filter)))).toEqual(filter);
      }),
    );
  });

  test("kept up to date batch by batch is the filter of all", () => {
    const lines = new World(LARGE, 7).lines(3000, START);
    const small = new FlowStore(500);
    const test_ = compileFilter({ ...EVERYTHING, verdicts: new Set(["dropped", "audit"]) });
    const matches = new Matches(small, test_);
    for (let at = 0; at < lines.length; at += 37) matches.apply(small.addLines(lines.slice(at, at + 37)));
    expect([...matches.list]).toEqual([...small.rows].filter(test_));
    const half = matches.list.at(Math.floor(matches.list.length / 2));
    expect(matches.list.countUntil(half?.seq ?? 0)).toBe(Math.floor(matches.list.length / 2) + 1);
  });
});

test("the workload of a pod is told, or is the name without what controllers add", () => {
  expect(workloadOf({ name: "backend-sqfqg9tj6-cb8r5" })).toBe("backend");
  expect(workloadOf({ name: "db-0" })).toBe("db");
  expect(workloadOf({ name: "alone" })).toBe("alone");
  expect(workloadOf({ name: "x-0", workload: { name: "told" } })).toBe("told");
});
