/** WCAG AA of the colours in tokens.css, in both themes: 4.5 to 1 for text, 3 to 1 for edges of controls. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";

const css = readFileSync(join(import.meta.dirname, "../src/styles/tokens.css"), "utf8");
const colours = new Map(
  [...css.matchAll(/--([\w-]+): light-dark\((#\w+), (#\w+)\)/g)].map(
    ([, name = "", light = "", dark = ""]) => [name, [light, dark]],
  ),
);

const TEXT: [string, string[]][] = [
  ["ink", ["ground", "ground-2", "ground-3", "accent-ground", "allow-ground", "deny-ground", "warn-ground"]],
  [
    "ink-2",
    ["ground", "ground-2", "ground-3", "accent-ground", "allow-ground", "deny-ground", "warn-ground"],
  ],
  ["accent", ["ground", "ground-2", "accent-ground", "allow-ground", "deny-ground", "warn-ground"]],
  ["accent-ink", ["accent"]],
  ["allow", ["ground", "ground-2", "allow-ground"]],
  ["deny", ["ground", "ground-2", "deny-ground"]],
  ["warn", ["ground", "ground-2", "warn-ground"]],
];
const EDGES: [string, string[]][] = [["edge", ["ground", "ground-2"]]];

function luminance(colour: string): number {
  const [red = 0, green = 0, blue = 0] = [1, 3, 5].map((at) => {
    const part = Number.parseInt(colour.slice(at, at + 2), 16) / 255;
    return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

function contrast(one: string, other: string): number {
  const [light = 0, dark = 0] = [luminance(one), luminance(other)].sort((a, b) => b - a);
  return (light + 0.05) / (dark + 0.05);
}

const rows = [...TEXT.map((one) => [...one, 4.5] as const), ...EDGES.map((one) => [...one, 3] as const)];

test.each(rows)("%s on %j is at least %d to 1", (front, backs, least) => {
  for (const back of backs) {
    for (const theme of [0, 1]) {
      const found = contrast(colours.get(front)?.[theme] ?? "", colours.get(back)?.[theme] ?? "");
      expect(found, `${front} on ${back}, ${theme ? "dark" : "light"}`).toBeGreaterThanOrEqual(least);
    }
  }
});
