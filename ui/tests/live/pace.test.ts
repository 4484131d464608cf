/** The first flows are drawn at once, later ones at their pace. */

import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Pace } from "../../src/live/pace";

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

function drawn(pause: number, needs: readonly number[]): number[] {
  const start = Date.now();
  const at: number[] = [];
  const pace = new Pace(
    () => at.push(Date.now() - start),
    () => Date.now(),
  );
  for (const when of needs) setTimeout(() => pace.need(pause), when);
  vi.advanceTimersByTime(20_000);
  return at;
}

test("what comes first is drawn at once", () => {
  expect(drawn(1000, [300])).toEqual([300]);
});

test("the pieces behind it come soon, then one picture a pause", () => {
  const busy = Array.from({ length: 1000 }, (_, at) => at * 10);
  const at = drawn(1000, busy);
  expect(at.slice(0, 3)).toEqual([0, 100, 300]);
  const gaps = at.slice(1).map((each, index) => each - (at[index] ?? 0));
  expect(gaps.slice(-3)).toEqual([1000, 1000, 1000]);
  expect(Math.max(...gaps)).toBe(1000);
});

test("after a rest the next is drawn at once", () => {
  expect(drawn(500, [0, 5000]).at(-1)).toBe(5000);
});

test("ended, it draws no more", () => {
  const draw = vi.fn();
  const pace = new Pace(draw, () => Date.now());
  pace.need(500);
  pace.need(500);
  pace.end();
  vi.advanceTimersByTime(2000);
  expect(draw).toHaveBeenCalledTimes(1);
});
