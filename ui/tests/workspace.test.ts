/** One history for the canvas and the text. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  changedFiles,
  freeName,
  reduce,
  type Workspace,
  type WorkspaceAction,
  workspaceOf,
  wrongName,
} from "../src/workspace/history";

const START = workspaceOf([
  { name: "a.yaml", text: "a: 1\n" },
  { name: "b.yaml", text: "b: 1\n" },
]);

const texts = (state: Workspace) => JSON.stringify(state.now.files);

const action: fc.Arbitrary<WorkspaceAction> = fc.oneof(
  fc.record({
    type: fc.constant("typed" as const),
    file: fc.constantFrom("a.yaml", "b.yaml"),
    text: fc.string({ maxLength: 5 }),
    at: fc.nat(5000),
  }),
  fc.record({
    type: fc.constant("edit" as const),
    files: fc.array(
      fc.record({ name: fc.constantFrom("a.yaml", "c.yaml"), text: fc.string({ maxLength: 5 }) }),
      {
        maxLength: 2,
      },
    ),
    why: fc.constant("test"),
  }),
  fc.constant({ type: "undo" as const }),
  fc.constant({ type: "redo" as const }),
);

test("undoing everything gives the texts of the beginning, redoing everything those of the end", () => {
  fc.assert(
    fc.property(fc.array(action, { maxLength: 30 }), (actions) => {
      let state = actions.reduce(reduce, START);
      while (state.future.length > 0) state = reduce(state, { type: "redo" });
      const end = texts(state);
      while (state.past.length > 0) state = reduce(state, { type: "undo" });
      expect(texts(state)).toBe(texts(START));
      while (state.future.length > 0) state = reduce(state, { type: "redo" });
      expect(texts(state)).toBe(end);
    }),
  );
});

test("an edit, undone, gives the very texts before it", () => {
  fc.assert(
    fc.property(fc.array(action, { maxLength: 10 }), fc.string({ minLength: 1 }), (actions, text) => {
      const before = actions.reduce(reduce, START);
      const files = [...before.now.files, { name: "new.yaml", text }];
      const after = reduce(reduce(before, { type: "edit", files, why: "add" }), { type: "undo" });
      expect(texts(after)).toBe(texts(before));
    }),
  );
});

describe("typing", () => {
  const type = (state: Workspace, text: string, at: number) =>
    reduce(state, { type: "typed", file: "a.yaml", text, at });

  test("in quick succession is one step", () => {
    const state = type(type(type(START, "a", 100), "ab", 300), "abc", 900);
    expect(texts(reduce(state, { type: "undo" }))).toBe(texts(START));
  });

  test("after a pause is another", () => {
    const first = type(START, "a", 100);
    expect(texts(reduce(type(first, "ab", 5000), { type: "undo" }))).toBe(texts(first));
  });

  test("after a step of the canvas is another", () => {
    const first = type(START, "a", 100);
    const files = [{ name: "a.yaml", text: "canvas" }];
    const second = reduce(first, { type: "edit", files, why: "add" });
    expect(texts(reduce(type(second, "canvas!", 200), { type: "undo" }))).toBe(texts(second));
  });
});

test("a file that is there gets a name of its own", () => {
  expect(freeName(START.now.files, "a.yaml")).toBe("a-2.yaml");
  expect(freeName(START.now.files, "c.yaml")).toBe("c.yaml");
});

test("what was opened before the first files came stays beside them", () => {
  const early = reduce(workspaceOf([]), { type: "open", file: { name: "a.yaml", text: "mine\n" }, why: "" });
  const state = reduce(early, { type: "load", files: START.now.files, opened: START.now.files });
  expect(state.now.files.map(({ name }) => name)).toEqual(["a.yaml", "b.yaml", "a-2.yaml"]);
  expect(state.place.file).toBe("a-2.yaml");
});

test("a file that is open already is only shown", () => {
  const state = reduce(START, { type: "open", file: { name: "b.yaml", text: "b: 1\n" }, why: "" });
  expect(state.now).toBe(START.now);
  expect(state.place.file).toBe("b.yaml");
});

test("what changed is told from what was opened, also after Undo", () => {
  const opened = reduce(START, { type: "open", file: { name: "c.yaml", text: "c: 1\n" }, why: "" });
  const typed = reduce(opened, { type: "typed", file: "c.yaml", text: "c: 2\n", at: 0 });
  expect(changedFiles(opened)).toEqual([]);
  expect(changedFiles(typed)).toEqual([{ name: "c.yaml", text: "c: 2\n" }]);
  expect(changedFiles(reduce(typed, { type: "undo" }))).toEqual([]);
});

test("undo and redo show the file that they change", () => {
  const typed = reduce(START, { type: "typed", file: "b.yaml", text: "b: 2\n", at: 0 });
  const away = reduce(typed, { type: "go", place: { file: "a.yaml" } });
  const undone = reduce(away, { type: "undo" });
  expect(undone.place.file).toBe("b.yaml");
  const back = reduce(undone, { type: "go", place: { file: "a.yaml" } });
  expect(reduce(back, { type: "redo" }).place.file).toBe("b.yaml");
});

describe("a file under another name", () => {
  const renamed = reduce(START, { type: "rename", file: "a.yaml", to: "web.yaml" });

  test("is the same text at the same place, and stays in sight", () => {
    expect(renamed.now.files.map((file) => file.name)).toEqual(["web.yaml", "b.yaml"]);
    expect(renamed.place.file).toBe("web.yaml");
  });

  test("is not changed by that, and goes back by undo", () => {
    expect(changedFiles(renamed)).toEqual([]);
    const back = reduce(renamed, { type: "undo" });
    expect(texts(back)).toBe(texts(START));
    expect(changedFiles(back)).toEqual([]);
  });

  test.each([
    ["", "needs a name"],
    ["web", "end in"],
    ["b.yaml", "open already"],
  ])("may not be %j", (name, why) => expect(wrongName(START.now.files, name)).toContain(why));

  test("may be what is free", () => expect(wrongName(START.now.files, "web.yml")).toBeNull());
});
