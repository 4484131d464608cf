/** The line of a link between two boxes: a cubic curve from the side of one to the side of the other. */

import type { Box } from "./layout";

export interface Point {
  readonly x: number;
  readonly y: number;
}

export type Curve = readonly [Point, Point, Point, Point];

/** Pixels between links that join the same two cards. */
const LANE = 15;

export function curveBetween(from: Box, to: Box, lane: number): Curve {
  const middle = (box: Box): number => box.y + box.height / 2;
  const gapRight = to.x - (from.x + from.width);
  const gapLeft = from.x - (to.x + to.width);
  const shift = lane * LANE;
  // Answers to a link in the other direction run a little lower, so that two that speak to each other have two lines.
  if (gapRight >= 0)
    return sideways(from.x + from.width, middle(from) + shift - 4, to.x, middle(to) + shift - 4);
  if (gapLeft >= 0)
    return sideways(from.x, middle(from) + shift + 6, to.x + to.width, middle(to) + shift + 6);
  const right = Math.max(from.x + from.width, to.x + to.width) + 36 + Math.abs(shift);
  const start = { x: from.x + from.width, y: middle(from) + shift };
  const end = { x: to.x + to.width, y: middle(to) + shift };
  return [start, { x: right, y: start.y }, { x: right, y: end.y }, end];
}

function sideways(x1: number, y1: number, x2: number, y2: number): Curve {
  const bend = Math.sign(x2 - x1) * Math.max(30, Math.abs(x2 - x1) * 0.45);
  return [
    { x: x1, y: y1 },
    { x: x1 + bend, y: y1 },
    { x: x2 - bend, y: y2 },
    { x: x2, y: y2 },
  ];
}

export function pathOf([a, b, c, d]: Curve): string {
  const at = ({ x, y }: Point): string => `${round(x)},${round(y)}`;
  return `M${at(a)} C${at(b)} ${at(c)} ${at(d)}`;
}

/** The point at `t` between 0 and 1. */
export function pointAt([a, b, c, d]: Curve, t: number): Point {
  const u = 1 - t;
  const mix = (p: number, q: number, r: number, s: number): number =>
    u * u * u * p + 3 * u * u * t * q + 3 * u * t * t * r + t * t * t * s;
  return { x: mix(a.x, b.x, c.x, d.x), y: mix(a.y, b.y, c.y, d.y) };
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
