/** What leaves the page: pictures and links. Names are data in both. */
import { expect, test } from "vitest";
import { mermaidOf } from "../src/export/mermaid";
import { svgOf } from "../src/export/render";
import { sceneOf } from "../src/export/scene";
import { type Block, type Drawing, draw } from "../src/model/draw";
import { readObjects } from "../src/model/objects";
import { pack, unpack } from "../src/shell/transfer";
import { SEED } from "./policies";

function drawn(text: string): [Drawing, Block] {
  const drawing = draw(readObjects(text)[0] as never) as Drawing;
  return [drawing, drawing.blocks[0] as Block];
}

const HOSTILE = SEED.replace("app: backend", 'app: "</text><script>alert(1)</script>"').replace(
  "matchName: kubernetes.io",
  'matchName: "x\\"]; click n0 href \\"javascript:alert(1)"',
);

test("the picture has the names, the ports and both directions", () => {
  const svg = svgOf(sceneOf(...drawn(SEED)));
  for (const text of [
    "kubernetes.io",
    "DNS: *",
    "53/ANY",
    "Ingress: all allowed by default",
    "app=backend",
  ]) {
    expect(svg).toContain(text);
  }
});

test("text in a picture is text", () => {
  expect(svgOf(sceneOf(...drawn(HOSTILE)))).not.toContain("<script");
  const mermaid = mermaidOf(...drawn(HOSTILE));
  expect(mermaid).not.toContain("<script");
  expect(mermaid).not.toContain('x"]');
});

test("Mermaid says who talks to whom", () => {
  const mermaid = mermaidOf(...drawn(SEED));
  expect(mermaid).toContain('n0["kubernetes.io"]');
  expect(mermaid).toContain('subject -->|"allow: all ports"| n0');
});

/** Rendered by Mermaid 10.9, 11.4 and 11.17, these are the text that they stand for. */
test.each([
  ['a"b', "a#34;b"],
  ["a]b", "a#93;b"],
  ["a#35;b", "a#35;35#59;b"],
  ["a<br>b", "a#60;br#62;b"],
  ["a\nb\u0007", "a b "],
  ["www.example.com", "www#46;example.com"],
  ["https://x.io", "https#58;//x.io"],
  ["a@b.io", "a#64;b.io"],
  ["1. one", "1#46; one"],
  ["- one", "#45; one"],
  ["$$x$$", "#36;#36;x#36;#36;"],
  ["end", "end"],
  ["a.www.b", "a.www#46;b"],
  ["10.0.0.1/8", "10.0.0.1/8"],
])("Mermaid reads %j as text", (text, written) => {
  const [drawing, block] = drawn(SEED);
  expect(mermaidOf({ ...drawing, name: text }, block)).toContain(`subject(["${written}\n`);
});

test("a link holds the files", async () => {
  const files = [
    { name: "ä.yaml", text: SEED },
    { name: "b.yaml", text: "x".repeat(100_000) },
  ];
  const packed = await pack(files);
  expect(packed).toMatch(/^[\w-]+$/);
  expect(packed.length).toBeLessThan(2000);
  expect(await unpack(packed)).toEqual(files);
});

test("a link that is broken, or unpacks to too much, holds nothing", async () => {
  expect(await unpack("%%%")).toBeNull();
  expect(await unpack("AAAA")).toBeNull();
  expect(await unpack(await pack([{ name: "bomb", text: "0".repeat(3_000_000) }]))).toBeNull();
});
