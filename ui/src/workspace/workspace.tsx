/**
 * The open policy files, for every view: `const {files, edit, undo} = useWorkspace()`.
 *
 * The drafts are kept in this tab (sessionStorage), so that a reload loses nothing; they are taken up again only
 * under the same files of the command line.
 */
import { createContext, type ReactNode, useContext, useEffect, useMemo, useReducer, useRef } from "react";
import type { PolicyFile } from "../api";
import { useLatest } from "../shell/latest";
import { useSession } from "../shell/session";
import { changedFiles, type Place, reduce, type Workspace, withText, workspaceOf } from "./history";

export interface WorkspaceHandle {
  files: readonly PolicyFile[];
  place: Place;
  /** The open file of `place`. */
  file: PolicyFile | null;
  /** The files as they were opened, and those that are not so any more. */
  opened: readonly PolicyFile[];
  changed: readonly PolicyFile[];
  /** Is the last change one of typing? */
  typing: boolean;
  /** What `undo` would undo and `redo` would do again; null for nothing. */
  undoes: string | null;
  redoes: string | null;
  /** All files as they are afterwards, in one step of the history; `why` completes "undo: …". */
  edit(files: readonly PolicyFile[], why: string, place?: Place): void;
  /** One file's text, in one step of the history. */
  editText(name: string, text: string, why: string, place?: Place): void;
  /** Text as it is typed: keys in quick succession are one step. */
  typed(name: string, text: string): void;
  /** Open one more file under a free name and go there. */
  open(file: PolicyFile, why: string): void;
  /** The file under another name, which is free. */
  rename(file: string, to: string): void;
  go(place: Partial<Place>): void;
  undo(): void;
  redo(): void;
}

const DRAFT = "namewall.draft";
const EMPTY: Workspace = workspaceOf([]);
const Context = createContext<WorkspaceHandle | null>(null);

export function useWorkspace(): WorkspaceHandle {
  const handle = useContext(Context);
  if (handle === null) throw new Error("no WorkspaceProvider above");
  return handle;
}

export function WorkspaceProvider({ children }: { children: ReactNode }) {
  const [state, dispatch] = useReducer(reduce, EMPTY);
  const { session, error } = useSession();
  const base = useRef<string | null>(null);

  useEffect(() => {
    if (base.current !== null || (session === null && error === null)) return;
    const given = session?.files ?? [];
    base.current = JSON.stringify(given);
    const { files, opened } = kept(base.current) ?? { files: given, opened: given };
    if (files.length > 0) dispatch({ type: "load", files, opened });
  }, [session, error]);

  useEffect(() => {
    if (base.current === null) return;
    const timer = setTimeout(() => keep(base.current ?? "", state), 500);
    return () => clearTimeout(timer);
  }, [state]);

  // What was edited a moment ago is kept too, and what cannot be kept is not left without a question.
  const leave = useLatest((event: Event) => {
    if (base.current !== null && !keep(base.current, state)) event.preventDefault();
  });
  useEffect(() => {
    addEventListener("beforeunload", leave);
    addEventListener("pagehide", leave);
    return () => {
      removeEventListener("beforeunload", leave);
      removeEventListener("pagehide", leave);
    };
  }, [leave]);

  const handle = useMemo<WorkspaceHandle>(() => {
    const files = state.now.files;
    return {
      files,
      place: state.place,
      file: files.find((file) => file.name === state.place.file) ?? null,
      opened: state.opened,
      changed: changedFiles(state),
      typing: state.typing !== null,
      undoes: state.past.length > 0 ? state.now.why : null,
      redoes: state.future[0]?.why ?? null,
      edit: (after, why, place) =>
        dispatch({ type: "edit", files: after, why, ...(place === undefined ? {} : { place }) }),
      editText: (name, text, why, place) =>
        dispatch({
          type: "edit",
          files: withText(files, name, text),
          why,
          ...(place === undefined ? {} : { place }),
        }),
      typed: (name, text) => dispatch({ type: "typed", file: name, text, at: Date.now() }),
      open: (file, why) => dispatch({ type: "open", file, why }),
      rename: (file, to) => dispatch({ type: "rename", file, to }),
      go: (place) => dispatch({ type: "go", place }),
      undo: () => dispatch({ type: "undo" }),
      redo: () => dispatch({ type: "redo" }),
    };
  }, [state]);

  return <Context value={handle}>{children}</Context>;
}

interface Draft {
  base: string;
  files: readonly PolicyFile[];
  /** As they were opened; without those that are so still. */
  opened: readonly PolicyFile[];
}

function kept(base: string): Omit<Draft, "base"> | null {
  try {
    const draft = JSON.parse(sessionStorage.getItem(DRAFT) ?? "null") as Draft | null;
    if (draft === null || draft.base !== base) return null;
    const opened = draft.files.map((file) => draft.opened.find((one) => one.name === file.name) ?? file);
    return { files: draft.files, opened };
  } catch {
    return null;
  }
}

/** Were they kept? */
function keep(base: string, state: Workspace): boolean {
  const changed = new Set(changedFiles(state).map((file) => file.name));
  const opened = state.opened.filter((file) => changed.has(file.name));
  try {
    const draft: Draft = { base, files: state.now.files, opened };
    sessionStorage.setItem(DRAFT, JSON.stringify(draft));
    return true;
  } catch {
    sessionStorage.removeItem(DRAFT); // full: an older draft would pass for the newest
    return false;
  }
}
