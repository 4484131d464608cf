/**
 * The open files, and one history of them for the canvas and the text.
 *
 * A point in time is all texts (strings are shared, so a point costs a few words). Typing within a second in one
 * file is one point. Invariant: `undo` after any edit gives the very texts before it.
 */
import type { PolicyFile } from "../api";

/** What is shown: an object of a file, and a rule block of it (`spec`, then `specs[0]`, …). */
export interface Place {
  file: string;
  object: number;
  block: number;
}

export interface Point {
  files: readonly PolicyFile[];
  /** What made it so, as `add kubernetes.io`. */
  why: string;
}

export interface Workspace {
  past: readonly Point[];
  now: Point;
  future: readonly Point[];
  place: Place;
  /** The files as they were when they were opened, also of those that are closed. */
  opened: readonly PolicyFile[];
  /** The file that is being typed in, and the time of the last key in ms; null after anything else. */
  typing: { file: string; at: number } | null;
}

export type WorkspaceAction =
  | { type: "edit"; files: readonly PolicyFile[]; why: string; place?: Place }
  /** One more file, under a name that no other has; one that is open already is only shown. */
  | { type: "open"; file: PolicyFile; why: string }
  | { type: "rename"; file: string; to: string }
  | { type: "typed"; file: string; text: string; at: number }
  /** What the page begins with, before what was opened while it was asked for. */
  | { type: "load"; files: readonly PolicyFile[]; opened: readonly PolicyFile[] }
  | { type: "go"; place: Partial<Place> }
  | { type: "undo" }
  | { type: "redo" };

const LONGEST = 300; // points kept
const PAUSE = 1000; // ms after which typing is a new point

export function workspaceOf(files: readonly PolicyFile[], opened: readonly PolicyFile[] = files): Workspace {
  return {
    opened,
    past: [],
    now: { files, why: "" },
    future: [],
    place: { file: files[0]?.name ?? "", object: 0, block: 0 },
    typing: null,
  };
}

export function reduce(state: Workspace, action: WorkspaceAction): Workspace {
  switch (action.type) {
    case "load":
      return state.now.files.reduce(
        (before, file) => reduce(before, { type: "open", file, why: "open" }),
        workspaceOf(action.files, action.opened),
      );
    case "go":
      return { ...state, place: within({ ...state.place, ...action.place }, state.now.files) };
    case "edit": {
      const place = within(action.place ?? state.place, action.files);
      if (same(action.files, state.now.files)) return { ...state, place };
      return { ...pushed(state), now: { files: action.files, why: action.why }, place };
    }
    case "open": {
      const { text } = action.file;
      const open = state.now.files.find((file) => file.name === action.file.name && file.text === text);
      if (open !== undefined) return { ...state, place: { file: open.name, object: 0, block: 0 } };
      const name = freeName(state.now.files, action.file.name);
      const files = [...state.now.files, { name, text }];
      const opened = [...state.opened.filter((file) => file.name !== name), { name, text }];
      return reduce(
        { ...state, opened },
        {
          type: "edit",
          files,
          why: action.why,
          place: { file: name, object: 0, block: 0 },
        },
      );
    }
    case "rename": {
      const renamed = (file: PolicyFile) => (file.name === action.file ? { ...file, name: action.to } : file);
      const before = state.opened.filter((file) => file.name === action.file).map(renamed);
      const opened = [...state.opened.filter((file) => file.name !== action.to), ...before];
      const place = state.place.file === action.file ? { ...state.place, file: action.to } : state.place;
      const why = `rename ${action.file} to ${action.to}`;
      return reduce({ ...state, opened }, { type: "edit", files: state.now.files.map(renamed), why, place });
    }
    case "typed": {
      const files = withText(state.now.files, action.file, action.text);
      if (same(files, state.now.files)) return state;
      const typing = { file: action.file, at: action.at };
      const now = { files, why: "typing" };
      const goesOn = state.typing?.file === action.file && action.at - state.typing.at < PAUSE;
      if (goesOn) return { ...state, now, typing, future: [] };
      return { ...pushed(state), now, typing };
    }
    case "undo": {
      const before = state.past.at(-1);
      if (before === undefined) return state;
      return {
        ...state,
        past: state.past.slice(0, -1),
        now: before,
        future: [state.now, ...state.future],
        place: placeOfChange(state.place, state.now.files, before.files),
        typing: null,
      };
    }
    case "redo": {
      const [after, ...future] = state.future;
      if (after === undefined) return state;
      return {
        ...state,
        past: [...state.past, state.now],
        now: after,
        future,
        place: placeOfChange(state.place, state.now.files, after.files),
        typing: null,
      };
    }
  }
}

/** The open files that are not as they were opened. */
export function changedFiles({ now, opened }: Workspace): PolicyFile[] {
  return now.files.filter((file) => opened.find((one) => one.name === file.name)?.text !== file.text);
}

export function withText(files: readonly PolicyFile[], name: string, text: string): readonly PolicyFile[] {
  return files.map((file) => (file.name === name && file.text !== text ? { name, text } : file));
}

/** Why a file cannot be called so; null if it can. */
export function wrongName(files: readonly PolicyFile[], name: string): string | null {
  if (name.trim() === "") return "a file needs a name, as `web.yaml`";
  if (!/\.(ya?ml|json)$/.test(name)) return "policies are in files that end in `.yaml`, `.yml` or `.json`";
  return files.some((file) => file.name === name) ? `\`${name}\` is open already` : null;
}

/** A name that no open file has: `policy.yaml`, `policy-2.yaml`, … */
export function freeName(files: readonly PolicyFile[], wanted: string): string {
  const taken = new Set(files.map((file) => file.name));
  if (!taken.has(wanted)) return wanted;
  const [, stem = wanted, ending = ""] = /^(.*?)(\.[^.]*)?$/.exec(wanted) ?? [];
  for (let number = 2; ; number++) {
    const name = `${stem}-${number}${ending}`;
    if (!taken.has(name)) return name;
  }
}

function pushed(state: Workspace): Workspace {
  return { ...state, past: [...state.past, state.now].slice(-LONGEST), future: [], typing: null };
}

function within(place: Place, files: readonly PolicyFile[]): Place {
  if (files.some((file) => file.name === place.file)) return place;
  return { file: files[0]?.name ?? "", object: 0, block: 0 };
}

/** Where the step is seen: what is shown stays if it is part of it, else a file that is. */
function placeOfChange(place: Place, from: readonly PolicyFile[], to: readonly PolicyFile[]): Place {
  const changed = to.filter((file) => !from.some((one) => one.name === file.name && one.text === file.text));
  const [first] = changed;
  if (first === undefined || changed.some((file) => file.name === place.file)) return within(place, to);
  return { file: first.name, object: 0, block: 0 };
}

function same(a: readonly PolicyFile[], b: readonly PolicyFile[]): boolean {
  return (
    a.length === b.length && a.every((file, at) => file.name === b[at]?.name && file.text === b[at].text)
  );
}
