/** Parts of the page that do not come at once. */
import { describe, expect, test } from "vitest";
import { NotLoaded, persistently } from "../src/shell/later";

/** Fails so often before it gives 7. */
function failing(times: number) {
  let asked = 0;
  const load = () => {
    asked += 1;
    return asked > times ? Promise.resolve(7) : Promise.reject(new TypeError(`number ${asked}`));
  };
  return { load, asked: () => asked };
}

describe("a part of the page", () => {
  test("that comes is asked for once", async () => {
    const part = failing(0);
    expect(await persistently(part.load, [0, 0])).toBe(7);
    expect(part.asked()).toBe(1);
  });

  test("is asked for again after each pause", async () => {
    const part = failing(2);
    expect(await persistently(part.load, [0, 0])).toBe(7);
    expect(part.asked()).toBe(3);
  });

  test("that never comes is said not to", async () => {
    const part = failing(9);
    await expect(persistently(part.load, [0, 0])).rejects.toThrow(NotLoaded);
    expect(part.asked()).toBe(3);
  });
});
