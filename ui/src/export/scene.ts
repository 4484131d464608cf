/** The canvas as plain shapes, from the model and not from the page: one layout for SVG and PNG. */
import type { Direction } from "../api";
import { dnsTexts, KIND_TITLES, LANE_TITLES, portTexts, subjectText } from "../canvas/words";
import { type Block, type Card, type Drawing, LANES } from "../model/draw";
import { peerKindWord, peerText } from "../model/peer";

export type Ink = "ink" | "quiet" | "line" | "ground" | "lane" | "allow" | "deny" | "accent";

export type Shape =
  | {
      shape: "box";
      x: number;
      y: number;
      width: number;
      height: number;
      fill: Ink;
      stroke: Ink;
      dashed?: boolean;
    }
  | {
      shape: "text";
      x: number;
      y: number;
      text: string;
      fill: Ink;
      bold?: boolean;
      size: number;
      middle?: boolean;
    }
  /** With an arrow at its end, or a bar where `dashed`. */
  | { shape: "line"; x1: number; y1: number; x2: number; y2: number; stroke: Ink; dashed: boolean };

export interface Scene {
  width: number;
  height: number;
  title: string;
  shapes: Shape[];
}

/** On white, whatever the page's theme: pictures go into documents. */
export const COLOURS: Record<Ink, string> = {
  ink: "#1b1f24",
  quiet: "#4f5965",
  line: "#76808b",
  ground: "#ffffff",
  lane: "#f4f6f8",
  allow: "#116329",
  deny: "#a40e26",
  accent: "#0b57d0",
};

const SIDE = 320;
const MIDDLE = 220;
const GAP = 56;
const MARGIN = 16;
const LINE = 18;
const LETTERS = 40; // that fit a card

export function sceneOf(drawing: Drawing, block: Block): Scene {
  const shapes: Shape[] = [];
  const anchors: { direction: Direction; y: number; action: string }[] = [];
  const heights = (["ingress", "egress"] as const).map((direction) => {
    const x = direction === "ingress" ? MARGIN : MARGIN + SIDE + GAP + MIDDLE + GAP;
    return side(shapes, anchors, drawing, block, direction, x);
  });
  const height = Math.max(...heights, 160) + MARGIN;
  const x = MARGIN + SIDE + GAP;
  const y = MARGIN + 60;
  const lines = [
    { text: KIND_TITLES[drawing.kind], fill: "quiet" as Ink, bold: false },
    { text: drawing.name || "(no name)", fill: "ink" as Ink, bold: true },
    ...(drawing.namespace === ""
      ? []
      : [{ text: `namespace ${drawing.namespace}`, fill: "quiet" as Ink, bold: false }]),
    ...wrapped(subjectText(block.subject?.selector ?? null, block.subject?.key ?? ""), 26).map((text) => ({
      text,
      fill: "ink" as Ink,
      bold: false,
    })),
  ];
  const boxHeight = lines.length * LINE + 20;
  shapes.push({ shape: "box", x, y, width: MIDDLE, height: boxHeight, fill: "ground", stroke: "accent" });
  lines.forEach(({ text, fill, bold }, at) => {
    const size = 13;
    shapes.push({
      shape: "text",
      x: x + MIDDLE / 2,
      y: y + 22 + at * LINE,
      text: clipped(text, 30),
      fill,
      bold,
      size,
      middle: true,
    });
  });
  for (const { direction, y: at, action } of anchors) {
    const meet = Math.max(y + 8, Math.min(y + boxHeight - 8, at));
    const [x1, x2] = direction === "ingress" ? [MARGIN + SIDE - 8, x] : [x + MIDDLE, x + MIDDLE + GAP + 8];
    const [y1, y2] = direction === "ingress" ? [at, meet] : [meet, at];
    const stroke = action === "deny" ? "deny" : "allow";
    shapes.push({ shape: "line", x1, y1, x2, y2, stroke, dashed: action === "deny" });
  }
  return {
    width: 2 * MARGIN + 2 * SIDE + 2 * GAP + MIDDLE,
    height,
    title: `${drawing.kind} ${drawing.name}`,
    shapes,
  };
}

function side(
  shapes: Shape[],
  anchors: { direction: Direction; y: number; action: string }[],
  drawing: Drawing,
  block: Block,
  direction: Direction,
  x: number,
): number {
  const on = block.defaultDeny[direction].on;
  const title = `${direction === "ingress" ? "Ingress" : "Egress"}: ${on ? "denied by default" : "all allowed by default"}`;
  shapes.push({ shape: "text", x, y: MARGIN + 14, text: title, fill: "ink", bold: true, size: 14 });
  let y = MARGIN + 26;
  for (const lane of LANES) {
    const cards = block.cards.filter((card) => card.rule.direction === direction && card.lane === lane);
    const texts = cards.map((card) => cardLines(card, drawing));
    const height = 28 + texts.reduce((sum, lines) => sum + lines.length * LINE + 18, 0);
    shapes.push({ shape: "box", x, y, width: SIDE, height, fill: "lane", stroke: "line" });
    shapes.push({ shape: "text", x: x + 10, y: y + 18, text: LANE_TITLES[lane], fill: "quiet", size: 12 });
    let top = y + 26;
    cards.forEach((card, at) => {
      const lines = texts[at] ?? [];
      const { action } = card.rule;
      const box = lines.length * LINE + 12;
      shapes.push({
        shape: "box",
        x: x + 8,
        y: top,
        width: SIDE - 16,
        height: box,
        fill: "ground",
        stroke: action,
        dashed: action === "deny",
      });
      lines.forEach((text, line) => {
        const fill: Ink = line === 0 ? action : "ink";
        shapes.push({
          shape: "text",
          x: x + 18,
          y: top + 18 + line * LINE,
          text,
          fill,
          bold: line === 0,
          size: 13,
        });
      });
      anchors.push({ direction, y: top + box / 2, action });
      top += box + 6;
    });
    y += height + 8;
  }
  return y;
}

function cardLines(card: Card, drawing: Drawing): string[] {
  const { rule, peers } = card;
  const first = peers[0];
  const sign = rule.action === "allow" ? "✓ Allow" : "✕ Deny";
  const ports = portTexts(rule, drawing.kind);
  const dns = dnsTexts(rule);
  const lines = [`${sign} ${first === undefined ? "" : peerKindWord(first.peer).toLowerCase()}`];
  for (const { peer } of peers) lines.push(...wrapped(peerText(peer), LETTERS));
  lines.push(...wrapped(ports.join(", ") || "all ports", LETTERS));
  if (dns !== null) lines.push(...wrapped(`DNS: ${dns.join(", ")}`, LETTERS));
  for (const one of rule.kept) lines.push(clipped(`kept as it is: ${one.label}`, LETTERS));
  return lines;
}

function clipped(text: string, letters: number): string {
  return text.length <= letters ? text : `${text.slice(0, letters - 1)}…`;
}

/** Lines of at most so many letters, broken at blanks where there are some. */
function wrapped(text: string, letters: number): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    if (line !== "" && line.length + 1 + word.length > letters) {
      lines.push(line);
      line = word;
    } else line = line === "" ? word : `${line} ${word}`;
    while (line.length > letters) {
      lines.push(line.slice(0, letters));
      line = line.slice(letters);
    }
  }
  return line === "" && lines.length > 0 ? lines : [...lines, line];
}
