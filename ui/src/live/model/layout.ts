/**
 * Where frames and cards stand.
 *
 * Cards inside a frame are laid out by ELK, a frame at a time and again only when that frame changed; ELK runs where `run` says (a web
 * worker). Frames stand in columns: those of the cluster from callers on the left to the called, then names and addresses of the
 * outside, each near those that speak to it. Columns are as high as makes the whole picture largest in the window.
 */

import type { Frame, View } from "./view";

export interface Box {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

export interface Placed {
  readonly frames: ReadonlyMap<string, Box>;
  readonly cards: ReadonlyMap<string, Box>;
}

/** ELK's JSON, as far as we use it. */
export interface ElkGraph {
  id: string;
  width?: number;
  height?: number;
  x?: number;
  y?: number;
  layoutOptions?: Record<string, string>;
  children?: ElkGraph[];
  edges?: { id: string; sources: string[]; targets: string[] }[];
}

export type RunElk = (graph: ElkGraph) => Promise<ElkGraph>;

/** With many cards there are titles only. */
const DENSE = 60;
const CARD = { width: 206, height: 46 };
const SMALL_CARD = { width: 150, height: 34 };
/** Names are longer than workloads. */
const SMALL_NAME = { width: 232, height: 34 };
const PADDING = { side: 14, top: 40, bottom: 14 };
const GAP = {
  card: 16,
  layer: 52,
  labelled: 132,
  frame: 30,
  column: 84,
  outside: 22,
  outsideColumn: 56,
  border: 150,
  narrow: 64,
};

/** Between few cards there is room for the words on links. */
const FEW = 30;

interface Measure {
  readonly dense: boolean;
  readonly narrow: boolean;
  /** Between columns of cards in a frame. */
  readonly layer: number;
}

const INNER: Record<string, string> = {
  "elk.algorithm": "layered",
  "elk.direction": "RIGHT",
  "elk.aspectRatio": "1.5",
  "elk.spacing.nodeNode": String(GAP.card),
  "elk.spacing.componentComponent": String(GAP.card),
  "elk.layered.considerModelOrder.strategy": "NODES_AND_EDGES",
  "elk.padding": `[top=${PADDING.top},left=${PADDING.side},bottom=${PADDING.bottom},right=${PADDING.side}]`,
};

/** Keeps what was laid out, by what it was made of. */
export class Layouts {
  private readonly kept = new Map<string, ElkGraph>();
  /** How often ELK was asked, for tests. */
  asked = 0;

  constructor(
    private readonly run: RunElk,
    private readonly limit = 400,
  ) {}

  /** `aspect` is width by height of the window. */
  async place(view: View, pairs: Iterable<readonly [string, string]>, aspect = 1.6): Promise<Placed> {
    const unique = dedupe(pairs);
    const groupOf = new Map(
      view.frames.flatMap((frame) => frame.cards.map((card) => [card.id, frame.id] as const)),
    );
    const cards = view.frames.reduce((sum, frame) => sum + frame.cards.length, 0);
    const narrow = aspect < 1; // no room for words on links
    const dense = narrow || cards > DENSE;
    const layer = cards <= FEW && !narrow ? GAP.labelled : GAP.layer;
    const inside = await this.insides(view.frames, unique, groupOf, { dense, narrow, layer });
    const between = dedupe(
      unique.flatMap(([a, b]) => {
        const from = groupOf.get(a);
        const to = groupOf.get(b);
        return from !== undefined && to !== undefined && from !== to ? [[from, to] as const] : [];
      }),
    );
    const boxes = placeFrames(view.frames, inside, between, aspect);
    return { frames: boxes, cards: cardBoxes(view.frames, inside, boxes) };
  }

  private async insides(
    frames: readonly Frame[],
    pairs: Pairs,
    groupOf: ReadonlyMap<string, string>,
    measure: Measure,
  ): Promise<Map<string, ElkGraph>> {
    const own = new Map<string, (readonly [string, string])[]>();
    for (const pair of pairs) {
      const group = groupOf.get(pair[0]);
      if (group === undefined || group !== groupOf.get(pair[1])) continue;
      own.set(group, [...(own.get(group) ?? []), pair]);
    }
    const found = await Promise.all(
      frames.map(async (frame) => {
        if (frame.framed) return this.cached(innerGraph(frame, own.get(frame.id) ?? [], measure));
        return {
          id: frame.id,
          ...cardSize(frame, measure),
          children: frame.cards.map((card) => ({
            id: card.id,
            x: 0,
            y: 0,
            ...cardSize(frame, measure),
          })),
        };
      }),
    );
    return new Map(found.map((graph, index) => [(frames[index] as Frame).id, graph]));
  }

  private async cached(graph: ElkGraph): Promise<ElkGraph> {
    const key = JSON.stringify(graph);
    const known = this.kept.get(key);
    if (known) return known;
    this.asked++;
    const found = await this.run(graph);
    if (this.kept.size >= this.limit) this.kept.clear();
    this.kept.set(key, found);
    return found;
  }
}

function dedupe(pairs: Iterable<readonly [string, string]>): (readonly [string, string])[] {
  const found = new Map<string, readonly [string, string]>();
  for (const pair of pairs) if (pair[0] !== pair[1]) found.set(`${pair[0]}>${pair[1]}`, pair);
  return [...found.keys()].sort().map((key) => found.get(key) as readonly [string, string]);
}

function cardSize(frame: Frame, { dense, narrow }: Measure): { width: number; height: number } {
  if (!dense) return CARD;
  return frame.kind === "domain" && !narrow ? SMALL_NAME : SMALL_CARD;
}

function innerGraph(frame: Frame, pairs: Pairs, measure: Measure): ElkGraph {
  return {
    id: frame.id,
    layoutOptions: {
      ...INNER,
      "elk.layered.spacing.nodeNodeBetweenLayers": String(measure.layer),
    },
    children: frame.cards.map((card) => ({ id: card.id, ...cardSize(frame, measure) })),
    edges: pairs.map(([a, b]) => ({ id: `${a}>${b}`, sources: [a], targets: [b] })),
  };
}

interface Column {
  readonly ids: string[];
  width: number;
  height: number;
}

type Sizes = (id: string) => { readonly width: number; readonly height: number };
type Pairs = readonly (readonly [string, string])[];

function placeFrames(
  frames: readonly Frame[],
  inside: ReadonlyMap<string, ElkGraph>,
  between: Pairs,
  aspect: number,
): Map<string, Box> {
  const size: Sizes = (id) => ({ width: inside.get(id)?.width ?? 0, height: inside.get(id)?.height ?? 0 });
  const isOutside = (frame: Frame): boolean => frame.kind === "domain" || frame.kind === "addresses";
  const cluster = callersFirst(
    frames.filter((frame) => !isOutside(frame)).map((frame) => frame.id),
    between,
  );
  const outside = frames.filter(isOutside).map((frame) => frame.id);
  const heights = candidates([...cluster, ...outside], size);
  let best: { boxes: Map<string, Box>; scale: number } | null = null;
  for (const height of heights) {
    const boxes = stand(columnsOf(cluster, size, height, GAP.frame), size, 0, GAP.column, GAP.frame);
    const right = extent(boxes).width;
    const sorted = nearTheirPeers(outside, between, boxes);
    const x = right > 0 && sorted.length ? right + (aspect < 1 ? GAP.narrow : GAP.border) : 0;
    const columns = columnsOf(sorted, size, height, GAP.outside);
    for (const [id, box] of stand(columns, size, x, GAP.outsideColumn, GAP.outside)) boxes.set(id, box);
    const whole = extent(boxes);
    const scale = Math.min(aspect / Math.max(1, whole.width), 1 / Math.max(1, whole.height));
    if (best === null || scale > best.scale) best = { boxes, scale };
  }
  return best?.boxes ?? new Map();
}

/** Heights of columns worth trying: from the highest frame to all frames above one another. */
function candidates(ids: readonly string[], size: Sizes): number[] {
  const least = Math.max(1, ...ids.map((id) => size(id).height));
  const most = ids.reduce((sum, id) => sum + size(id).height + GAP.frame, 0);
  const steps = 24;
  return Array.from({ length: steps + 1 }, (_, step) => least * Math.max(1, most / least) ** (step / steps));
}

/**
 * Those that mostly call before those that are mostly called. In five steps, so that one more edge does not turn the picture around.
 */
function callersFirst(ids: readonly string[], between: Pairs): string[] {
  const calls = new Map<string, { out: number; in: number }>(ids.map((id) => [id, { out: 0, in: 0 }]));
  for (const [a, b] of between) {
    if (!calls.has(b)) continue;
    const from = calls.get(a);
    const to = calls.get(b);
    if (from) from.out++;
    if (to) to.in++;
  }
  const rank = (id: string): number => {
    const { out, in: called } = calls.get(id) ?? { out: 0, in: 0 };
    return out + called === 0 ? 0 : Math.round(((called - out) / (called + out)) * 2);
  };
  return [...ids].sort((a, b) => rank(a) - rank(b) || (a < b ? -1 : 1));
}

/** In the order of the heights of those that speak to each. */
function nearTheirPeers(ids: readonly string[], between: Pairs, boxes: ReadonlyMap<string, Box>): string[] {
  const heights = new Map<string, number[]>();
  for (const [a, b] of between) {
    for (const [id, peer] of [
      [a, b],
      [b, a],
    ] as const) {
      const box = boxes.get(peer);
      if (box) heights.set(id, [...(heights.get(id) ?? []), box.y + box.height / 2]);
    }
  }
  const mean = (id: string): number => {
    const all = heights.get(id);
    return all ? all.reduce((sum, y) => sum + y, 0) / all.length : Number.MAX_VALUE;
  };
  return [...ids].sort((a, b) => mean(a) - mean(b) || (a < b ? -1 : 1));
}

/** `ids` in their order, one below the other, a new column where `height` is reached. */
function columnsOf(ids: readonly string[], size: Sizes, height: number, gap: number): Column[] {
  const columns: Column[] = [];
  for (const id of ids) {
    const box = size(id);
    const last = columns.at(-1);
    if (last && last.height + gap + box.height <= height) {
      last.ids.push(id);
      last.width = Math.max(last.width, box.width);
      last.height += gap + box.height;
    } else columns.push({ ids: [id], width: box.width, height: box.height });
  }
  return columns;
}

/** Columns from `x` on, each in the middle of the highest. */
function stand(
  columns: readonly Column[],
  size: Sizes,
  x: number,
  gapX: number,
  gapY: number,
): Map<string, Box> {
  const boxes = new Map<string, Box>();
  const highest = Math.max(0, ...columns.map((column) => column.height));
  let left = x;
  for (const column of columns) {
    let y = (highest - column.height) / 2;
    for (const id of column.ids) {
      const box = size(id);
      boxes.set(id, { x: left + (column.width - box.width) / 2, y, ...box });
      y += box.height + gapY;
    }
    left += column.width + gapX;
  }
  return boxes;
}

function extent(boxes: ReadonlyMap<string, Box>): { width: number; height: number } {
  let width = 0;
  let height = 0;
  for (const box of boxes.values()) {
    width = Math.max(width, box.x + box.width);
    height = Math.max(height, box.y + box.height);
  }
  return { width, height };
}

function cardBoxes(
  frames: readonly Frame[],
  inside: ReadonlyMap<string, ElkGraph>,
  boxes: ReadonlyMap<string, Box>,
): Map<string, Box> {
  const cards = new Map<string, Box>();
  for (const frame of frames) {
    const at = boxes.get(frame.id);
    if (!at) continue;
    for (const child of inside.get(frame.id)?.children ?? []) {
      cards.set(child.id, {
        x: at.x + (child.x ?? 0),
        y: at.y + (child.y ?? 0),
        width: child.width ?? 0,
        height: child.height ?? 0,
      });
    }
  }
  return cards;
}
