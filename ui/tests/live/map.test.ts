/** From rows to the picture: graph, frames, places, lines, dots. */

import ELK from "elkjs/lib/elk.bundled.js";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { curveBetween, pathOf, pointAt } from "../../src/live/model/curve";
import { registeredDomain } from "../../src/live/model/domain";
import type { Row } from "../../src/live/model/flow";
import { FlowGraph } from "../../src/live/model/graph";
import type { Box, ElkGraph, Placed } from "../../src/live/model/layout";
import { Layouts } from "../../src/live/model/layout";
import { linkOf, MapModel } from "../../src/live/model/mapModel";
import { nameParty, workloadParty } from "../../src/live/model/party";
import { JOURNEY, Pulses } from "../../src/live/model/pulses";
import { FlowStore } from "../../src/live/model/store";
import { groupSizes, openByDefault, portsLabel, type View, viewOf } from "../../src/live/model/view";
import { LARGE, type Size, SMALL, World } from "../../src/live/testing/world";

const START = Date.UTC(2026, 10, 23, 12);

function rowsOf(count: number, size: Size = LARGE, seed = 1): Row[] {
  const store = new FlowStore();
  store.addLines(new World(size, seed).lines(count, START));
  return [...store.rows];
}

function counted(graph: FlowGraph) {
  return [...graph.edges.values()].map((edge) => [edge.key, edge.rows, edge.counts]).sort();
}

test("registered domains, for frames", () => {
  expect(registeredDomain("a.b.example.com")).toBe("example.com");
  expect(registeredDomain("www.example.co.uk.")).toBe("example.co.uk");
  expect(registeredDomain("example.io")).toBe("example.io");
  expect(registeredDomain("localhost")).toBe("localhost");
});

describe("the graph", () => {
  test("after adding and removing in any order is that of the rows that remain", () => {
    const rows = rowsOf(300);
    fc.assert(
      fc.property(fc.subarray(rows), fc.infiniteStream(fc.boolean()), (gone, coin) => {
        const graph = new FlowGraph(rows.filter(() => coin.next().value));
        const there = new Set(gone);
        const first = new FlowGraph(rows);
        first.remove(gone);
        expect(counted(first)).toEqual(counted(new FlowGraph(rows.filter((row) => !there.has(row)))));
        expect(graph.edges.size).toBeLessThanOrEqual(new FlowGraph(rows).edges.size);
      }),
      { numRuns: 25 },
    );
  });

  test("counts what a flow stands for", () => {
    const [row] = rowsOf(1);
    if (!row) throw new Error("no row");
    const graph = new FlowGraph([{ ...row, times: 12 }]);
    expect([...graph.edges.values()][0]?.counts[row.verdict]).toBe(12);
  });
});

describe("frames", () => {
  const parties = [
    workloadParty("default", "web"),
    workloadParty("default", "db"),
    nameParty("a.example.com"),
    nameParty("b.example.com"),
    nameParty("kubernetes.io"),
  ];

  test("an open frame has its cards, a closed one is a card", () => {
    const view = viewOf(parties, [], new Map([["ns/default", true]]));
    const frame = (id: string) => view.frames.find((each) => each.id === id);
    expect(frame("ns/default")?.cards.map((card) => card.title)).toEqual(["web", "db"]);
    expect(frame("domain/example.com")).toMatchObject({ open: false, framed: false, members: 2 });
    expect(frame("domain/kubernetes.io")).toMatchObject({ framed: false, members: 1 });
    expect(view.shown.get("name/a.example.com")).toBe("domain/example.com");
  });

  test("200 nodes are not more than 40 cards, and what was decided stays", () => {
    const model = modelOf(5000);
    const view = model.view([], new Map());
    const members = view.frames.reduce((sum, frame) => sum + frame.members, 0);
    expect(members).toBeGreaterThan(190);
    expect(view.frames.flatMap((frame) => frame.cards).length).toBeLessThanOrEqual(40);
    const sizes = new Map([
      ["ns/a", 50],
      ["domain/x", 4],
    ]);
    const first = openByDefault(sizes, new Map());
    expect(first.get("ns/a")).toBe(true);
    expect(openByDefault(new Map([...sizes, ["ns/b", 20]]), first).get("ns/a")).toBe(true);
    expect(openByDefault(new Map([...sizes, ["ns/b", 60]]), first).get("ns/a")).toBe(false);
  });

  test("every flow between two cards is on one link, counts add up", () => {
    const rows = rowsOf(2000);
    const graph = new FlowGraph(rows);
    const view = viewOf(
      graph.parties().values(),
      graph.edges.values(),
      openByDefault(groupSizes(graph.parties().values()), new Map()),
    );
    const on = new Map<string, number>();
    for (const row of rows) {
      const link = linkOf(row, view);
      if (link) on.set(link, (on.get(link) ?? 0) + 1);
    }
    expect(new Map(view.links.map((link) => [link.id, link.count]))).toEqual(on);
  });

  test("links of several verdicts between the same two run in lanes", () => {
    const [row] = rowsOf(1);
    if (!row) throw new Error("no row");
    const graph = new FlowGraph([
      row,
      { ...row, verdict: "dropped" },
      { ...row, verdict: "dropped", port: 81 },
    ]);
    const view = viewOf(graph.parties().values(), graph.edges.values(), new Map());
    expect(view.links.map((link) => [link.verdict, link.lane, link.count])).toEqual([
      ["forwarded", -0.5, 1],
      ["dropped", 0.5, 2],
    ]);
    expect(portsLabel(["443/TCP", "80/TCP", "81/TCP"])).toBe("443/TCP, 80/TCP +1");
  });
});

function modelOf(count: number, size: Size = LARGE): MapModel {
  const store = new FlowStore();
  const model = new MapModel(store, (row) => !row.kind.startsWith("dns-"));
  model.apply(store.addLines(new World(size).lines(count, START)));
  return model;
}

const elk = new ELK();
const runElk = async (graph: ElkGraph): Promise<ElkGraph> =>
  (await elk.layout(graph as never)) as unknown as ElkGraph;

function overlap(a: Box, b: Box): boolean {
  return a.x < b.x + b.width && b.x < a.x + a.width && a.y < b.y + b.height && b.y < a.y + a.height;
}

function checkPlaces(view: View, placed: Placed): void {
  const frames = [...placed.frames.values()];
  for (const box of [...frames, ...placed.cards.values()]) {
    expect(Object.values(box).every(Number.isFinite)).toBe(true);
  }
  frames.forEach((a, at) => {
    for (const b of frames.slice(at + 1)) expect(overlap(a, b)).toBe(false);
  });
  for (const frame of view.frames) {
    const around = placed.frames.get(frame.id);
    for (const card of frame.cards) {
      const box = placed.cards.get(card.id);
      if (!box || !around) throw new Error(`${card.id} has no place`);
      expect(box.x).toBeGreaterThanOrEqual(around.x);
      expect(box.y + box.height).toBeLessThanOrEqual(around.y + around.height);
    }
  }
}

function allOpen(model: MapModel): ReadonlyMap<string, boolean> {
  return new Map(model.view([], new Map()).frames.map((frame) => [frame.id, true]));
}

describe("places", () => {
  test("no frame covers another, every card is in its frame, the picture has the window's form", async () => {
    for (const [size, open] of [
      [SMALL, false],
      [LARGE, false],
      [LARGE, true],
    ] as const) {
      const model = modelOf(4000, size);
      const view = model.view([], open ? allOpen(model) : new Map());
      const placed = await new Layouts(runElk).place(view, model.cardPairs(view), 1.5);
      checkPlaces(view, placed);
      checkPlaces(view, await new Layouts(runElk).place(view, model.cardPairs(view), 0.6));
      const width = Math.max(...[...placed.frames.values()].map((box) => box.x + box.width));
      const height = Math.max(...[...placed.frames.values()].map((box) => box.y + box.height));
      expect(width / height).toBeGreaterThan(0.8);
      expect(width / height).toBeLessThan(3.2);
    }
  });

  test("only the frame that changed is laid out again", async () => {
    const model = modelOf(4000);
    const layouts = new Layouts(runElk);
    const open = allOpen(model);
    const view = model.view([], open);
    await layouts.place(view, model.cardPairs(view));
    const asked = layouts.asked;
    expect(asked).toBeGreaterThan(5);
    await layouts.place(view, model.cardPairs(view));
    expect(layouts.asked).toBe(asked);
    const more = model.view([workloadParty("shop", "brand-new")], open);
    await layouts.place(more, model.cardPairs(more));
    expect(layouts.asked).toBe(asked + 1);
  });

  test("an empty map has no places", async () => {
    const placed = await new Layouts(runElk).place({ frames: [], links: [], shown: new Map() }, []);
    expect(placed.frames.size).toBe(0);
  });
});

describe("what was drawn", () => {
  test("stays when its flows are no longer kept", () => {
    const store = new FlowStore(50);
    const model = new MapModel(store, () => true);
    const world = new World(SMALL);
    model.apply(store.addLines(world.lines(50, START)));
    const before = model.view([], new Map()).frames.reduce((sum, frame) => sum + frame.members, 0);
    for (let turn = 0; turn < 20; turn++) {
      model.apply(store.addLines(world.lines(10, START)));
      model.view([], new Map());
    }
    expect(
      model.view([], new Map()).frames.reduce((sum, frame) => sum + frame.members, 0),
    ).toBeGreaterThanOrEqual(before);
    expect(counted(model.graph)).toEqual(counted(new FlowGraph(store.rows)));
  });
});

test("a curve begins and ends at its boxes, on whichever side", () => {
  const box = (x: number, y: number): Box => ({ x, y, width: 100, height: 40 });
  const right = curveBetween(box(0, 0), box(300, 0), 0);
  expect(right[0].x).toBe(100);
  expect(right[3].x).toBe(300);
  const left = curveBetween(box(300, 0), box(0, 0), 0);
  expect([left[0].x, left[3].x]).toEqual([300, 100]);
  const below = curveBetween(box(0, 0), box(10, 200), 0);
  expect([below[0].x, below[3].x]).toEqual([100, 110]);
  expect(pointAt(right, 0)).toEqual(right[0]);
  expect(pointAt(right, 1)).toEqual(right[3]);
  expect(pathOf(right)).toMatch(/^M100,[\d.]+ C/);
});

describe("dots", () => {
  test("of one link at once are one bigger dot; there is a bound; they end", () => {
    const pulses = new Pulses();
    for (let flow = 0; flow < 10; flow++) pulses.add("a", "forwarded", 1, 1000 + flow);
    expect(pulses.at(1010).map(({ pulse }) => pulse.flows)).toEqual([10]);
    for (let link = 0; link < 5000; link++) pulses.add(`l${link}`, "forwarded", 1, 1020);
    expect(pulses.size).toBeLessThanOrEqual(300);
    expect(pulses.at(1020 + JOURNEY)).toEqual([]);
  });

  test("of what was dropped stop halfway", () => {
    const pulses = new Pulses();
    pulses.add("a", "dropped", 1, 0);
    expect(pulses.at(JOURNEY - 1)[0]?.t).toBe(0.5);
  });
});
