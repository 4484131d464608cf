/** The stream goes on where it broke, waits longer each time, and gives up only when refused. */

import { describe, expect, test } from "vitest";
import { diffLines } from "../../src/live/model/diffLines";
import { rowsInSight, scrollTo } from "../../src/live/model/window";
import { duration, short } from "../../src/live/model/words";
import { follow, HISTORY, request, type StreamState } from "../../src/live/stream";

function bodyOf(...pieces: string[]): Response {
  const encoder = new TextEncoder();
  return new Response(
    new ReadableStream({
      start(controller) {
        for (const piece of pieces) controller.enqueue(encoder.encode(piece));
        controller.close();
      },
    }),
  );
}

async function run(answers: (Response | Error)[]) {
  const stop = new AbortController();
  const asked: unknown[] = [];
  const lines: string[] = [];
  const states: StreamState["kind"][] = [];
  const waits: number[] = [];
  await follow({
    open: async (body) => {
      asked.push(body);
      const answer = answers.shift();
      if (answers.length === 0) setTimeout(() => stop.abort());
      if (answer === undefined || answer instanceof Error) throw answer ?? new Error("nothing");
      return answer;
    },
    after: () => (lines.length ? `uuid-of-${lines.at(-1)}` : ""),
    onLines: (more) => lines.push(...more),
    onState: (state) => states.push(state.kind),
    signal: stop.signal,
    now: () => 0,
    sleep: async (milliseconds) => {
      waits.push(milliseconds);
      await new Promise((done) => setTimeout(done));
    },
  });
  return { asked, lines, states, waits };
}

describe("the stream", () => {
  test("asks for the newest flows first and then goes on behind the last one", async () => {
    const { asked, lines } = await run([bodyOf("a\nb", "1\n"), bodyOf("c\n"), bodyOf("")]);
    expect(lines).toEqual(["a", "b1", "c"]);
    expect(asked.slice(0, 3)).toEqual([request(""), request("uuid-of-b1"), request("uuid-of-c")]);
    expect(request("")).toMatchObject({ number: HISTORY, follow: true, namewall: true });
  });

  test("takes a letter of several bytes that was cut in two", async () => {
    const bytes = new TextEncoder().encode("é\n");
    const stream = new ReadableStream({
      start(controller) {
        for (const byte of bytes) controller.enqueue(new Uint8Array([byte]));
        controller.close();
      },
    });
    expect((await run([new Response(stream), bodyOf("")])).lines).toEqual(["é"]);
  });

  test("waits longer each time that nothing comes", async () => {
    const { waits, states } = await run([
      new Error("away"),
      new Error("away"),
      new Error("away"),
      bodyOf("a\n"),
      bodyOf(""),
    ]);
    expect(waits.slice(0, 4)).toEqual([500, 1000, 2000, 500]);
    expect(states.slice(0, 3)).toEqual(["connecting", "waiting", "connecting"]);
    expect(states.at(-1)).toBe("off");
  });

  test("ends where the token is refused", async () => {
    const refused = new Response(JSON.stringify({ error: "wrong token" }), { status: 401 });
    const { states, asked } = await run([refused, bodyOf("never")]);
    expect(states).toEqual(["connecting", "refused"]);
    expect(asked.length).toBe(1);
  });
});

test("rows in sight, and scrolling no more than needed", () => {
  expect(rowsInSight(0, 320, 32, 1000, 2)).toEqual({ first: 0, end: 12 });
  expect(rowsInSight(3200, 320, 32, 1000, 2)).toEqual({ first: 98, end: 112 });
  expect(rowsInSight(99999, 320, 32, 10, 2)).toEqual({ first: 10, end: 10 });
  expect(scrollTo(5, 0, 320, 32)).toBe(0);
  expect(scrollTo(10, 0, 320, 32)).toBe(32);
  expect(scrollTo(2, 320, 320, 32)).toBe(64);
});

test("a diff has kinds of lines that are told by more than colour", () => {
  const kinds = diffLines("--- a\n+++ a\n@@ -1 +1 @@\n same\n-old\n+new\n").map(
    ({ kind, text }) => `${kind}:${text}`,
  );
  expect(kinds).toEqual([
    "head:--- a",
    "head:+++ a",
    "head:@@ -1 +1 @@",
    "same:same",
    "removed:old",
    "added:new",
  ]);
});

test("numbers and times in words", () => {
  expect([short(9999), short(12345), short(2_500_000)]).toEqual(["9,999", "12.3k", "2.5M"]);
  expect([duration(9.6), duration(90), duration(3725)]).toEqual(["10 s", "1 min 30 s", "1 h 2 min"]);
});
