/** The policy editor: the canvas and the text of the open files, checks and questions about them. */
import { Suspense, type SyntheticEvent, useDeferredValue, useEffect, useMemo, useRef, useState } from "react";
import type { Remark } from "./api";
import { Canvas } from "./canvas/canvas";
import { type Act, applyChanges } from "./model/change";
import { type Block, type Drawing, draw } from "./model/draw";
import { objectsOf } from "./model/objects";
import { selectorText } from "./model/selector";
import { lineAt, readSource, type SyntaxProblem } from "./model/source";
import { EditError } from "./model/splice";
import type { Path } from "./model/value";
import type { Reveal } from "./pane/yaml-pane";
import { Checks } from "./panels/checks";
import { FixDialog } from "./panels/fix-dialog";
import { Tally } from "./panels/tally";
import { TryIt } from "./panels/try-it";
import { UnionCanvas } from "./panels/union-canvas";
import { FileList } from "./policy/file-list";
import { Start } from "./policy/start";
import { Toolbar } from "./policy/toolbar";
import { undrawable } from "./policy/undrawable";
import { useUpload } from "./policy/upload";
import { useAnnounce } from "./shell/announcer";
import { later } from "./shell/later";
import { useLatest, useSettled } from "./shell/latest";
import { redirect, useRoute } from "./shell/route";
import { useSession } from "./shell/session";
import { unpack } from "./shell/transfer";
import type { Place } from "./workspace/history";
import { useJudgement } from "./workspace/judgement";
import { useWorkspace } from "./workspace/workspace";
import "./styles/policy.css";

/** Characters from which reading a text takes long enough to be felt. */
const LONG = 40_000;

const YamlPane = later(() => import("./pane/yaml-pane"));
const ClusterPanel = later(() => import("./live/cluster-panel"));

/** What the canvas shows: the last drawing that could be read, and whether the text has gone on without it. */
interface Shown {
  drawing: Drawing;
  block: Block;
  stale: boolean;
}

/** A workload, as the fields for one have it. */
interface Subject {
  namespace: string;
  labels: string;
}

export function PolicyView() {
  const { files } = useWorkspace();
  // One for all buttons: what it says of a file outlives the page of the beginning.
  const { choose, take, input, notice } = useUpload();
  const unread = useSharedFiles();
  useHistoryKeys();
  useDroppedFiles(take);
  return (
    <>
      {input}
      {notice}
      {unread && (
        <p className="notice deny" role="alert">
          The link holds no policy that can be read: was it cut off?
        </p>
      )}
      {files.length === 0 ? <Start onOpen={choose} /> : <Editor onOpen={choose} />}
    </>
  );
}

/** Undo and redo wherever the focus is, but in a field that has its own. */
function useHistoryKeys() {
  const { undo, redo } = useWorkspace();
  const keys = useLatest((event: KeyboardEvent) => {
    if (!(event.ctrlKey || event.metaKey) || event.altKey) return;
    const from = event.target as HTMLElement;
    if (from.closest("input:not([type=checkbox]), textarea, .cm-editor, dialog")) return;
    const key = event.key.toLowerCase();
    if (key !== "z" && key !== "y") return;
    event.preventDefault();
    (key === "y" || event.shiftKey ? redo : undo)();
  });
  useEffect(() => {
    addEventListener("keydown", keys);
    return () => removeEventListener("keydown", keys);
  }, [keys]);
}

/** Files that are dropped on the page are opened; the browser would leave the page for them. */
function useDroppedFiles(take: (files: Iterable<File>) => Promise<void>) {
  const taken = useLatest(take);
  useEffect(() => {
    const over = (event: DragEvent) => {
      if (event.dataTransfer?.types.includes("Files")) event.preventDefault();
    };
    const drop = (event: DragEvent) => {
      const files = event.dataTransfer?.files;
      if (files === undefined || files.length === 0) return;
      event.preventDefault();
      void taken(files);
    };
    addEventListener("dragover", over);
    addEventListener("drop", drop);
    return () => {
      removeEventListener("dragover", over);
      removeEventListener("drop", drop);
    };
  }, [taken]);
}

/** A link that holds files (`#/policy?p=…`) opens them beside what is open. Was the last one broken? */
function useSharedFiles(): boolean {
  const { query } = useRoute();
  const { open } = useWorkspace();
  const announce = useAnnounce();
  const packed = query.get("p");
  const openAll = useLatest(open);
  const [unread, setUnread] = useState(false);
  useEffect(() => {
    if (packed === null) return;
    redirect("policy");
    unpack(packed).then((found) => {
      setUnread(found === null || found.length === 0);
      if (found === null || found.length === 0) return;
      for (const file of found) openAll(file, "open the link");
      announce("the policies of the link are open");
    });
  }, [packed, announce, openAll]);
  return unread;
}

function Editor({ onOpen }: { onOpen: () => void }) {
  const workspace = useWorkspace();
  const { files, place, go, editText, typed, undo, redo } = workspace;
  const file = workspace.file ?? files[0];
  const { query } = useRoute();
  const announce = useAnnounce();
  const [reveal, setReveal] = useState<Reveal | null>(null);
  const [refusal, setRefusal] = useState<{ name: string; text: string; why: string } | null>(null);
  // The workload whose policies are all drawn; null for the one policy. It stays while one looks through their rules.
  const [union, setUnion] = useState<{ of: Subject; nth: number } | null>(null);
  const [panel, setPanel] = useState<"checks" | "try" | "cluster">("checks");
  const [fixing, setFixing] = useState<Remark | null>(null);
  const { live } = useSession();
  const { judgement, files: judged } = useJudgement();
  const name = file?.name ?? "";
  const current = file?.text ?? "";
  const { object, block } = place;
  const seen = useMemo(() => ({ name, text: current, object, block }), [name, current, object, block]);
  // Typing does not wait for the drawing, and the drawing of a long text waits for a pause.
  const pause = workspace.typing && current.length > LONG ? 500 : 0;
  const settled = useDeferredValue(useSettled(seen, pause));
  const { shown, wrong } = useShown(settled);
  // What the canvas shows has its places in the text that it was drawn from: until it is drawn again it takes nothing.
  const hold = (event: SyntheticEvent) => {
    if (settled === seen) return;
    event.preventDefault();
    event.stopPropagation();
    announce("the canvas is being drawn from the text");
  };

  const goLine = useLatest((name: string, line: number, focus: boolean) => {
    go({ file: name, ...placeOfLine(files.find((one) => one.name === name)?.text ?? "", line) });
    setReveal((before) => ({ line, nth: (before?.nth ?? 0) + 1, focus }));
  });
  const showLine = useLatest((name: string, line: number) => goLine(name, line, true));

  const wantedFile = query.get("file");
  const wantedLine = query.get("line");
  useEffect(() => {
    if (wantedFile === null) return;
    redirect("policy");
    showLine(wantedFile, Number(wantedLine ?? "1"));
  }, [wantedFile, wantedLine, showLine]);

  const show = useLatest((path: Path) => {
    const source = readSource(current);
    const found = objectsOf(source)[place.object];
    if (found !== undefined) showLine(name, lineAt(source, found.doc, path));
  });

  const act: Act = useLatest((changes, why) => {
    try {
      editText(name, applyChanges(current, place.object, place.block, changes), why);
      setRefusal(null);
      announce(why);
      return null;
    } catch (error) {
      if (!(error instanceof EditError)) throw error;
      setRefusal({ name, text: current, why: error.message });
      return error.message;
    }
  });

  const onLine = useLatest((line: number) => {
    const at = placeOfLine(current, line);
    if (at.object !== place.object || at.block !== place.block) go(at);
  });

  // What had the focus on the page before is gone.
  useEffect(() => {
    if (document.activeElement === document.body) {
      const first =
        document.querySelector<HTMLElement>(".subject button") ?? document.getElementById("content");
      first?.focus();
    }
  }, []);

  if (file === undefined) return null;
  const judgedNow = judged.find((one) => one.name === name)?.text === current;
  // The server is the stricter reader, and the slower one.
  const refused = judgedNow
    ? judgement?.problems.find((one) => one.file === name && one.source === "yaml")
    : null;
  const unreadable = wrong ?? refused ?? null;
  const subject = subjectOf(shown);
  const said = [...(judgement?.problems ?? []), ...(judgement?.findings ?? [])];
  return (
    <div className="policy">
      <h1 className="unseen">Policy editor</h1>
      <Toolbar drawing={shown?.drawing ?? null} block={shown?.block ?? null} onOpen={onOpen} />
      <FileList goLine={goLine} />
      <div className="policy-grid">
        <section
          className="canvas-pane"
          aria-label="Canvas"
          onClickCapture={hold}
          onKeyDownCapture={(event) => event.key !== "Tab" && hold(event)}
        >
          <div className="row pane-head">
            <button type="button" aria-pressed={union === null} onClick={() => setUnion(null)}>
              This policy
            </button>
            <button
              type="button"
              aria-pressed={union !== null}
              onClick={() => setUnion({ of: subject, nth: (union?.nth ?? 0) + 1 })}
            >
              All together
            </button>
            {union === null && shown !== null && <BlockChoice shown={shown} />}
          </div>
          {refusal?.name === name && refusal.text === current && (
            <p className="notice deny" role="alert">
              {refusal.why}
            </p>
          )}
          {union === null && unreadable !== null && (
            <p className={`notice ${shown === null ? "deny" : "warn"}`} role="status">
              <button
                type="button"
                className="plain mono link"
                onClick={() => showLine(name, unreadable.line)}
              >
                Line {unreadable.line}
              </button>{" "}
              cannot be read as YAML: {unreadable.message}.
              {shown?.stale && " The canvas shows it as it was before."}
            </p>
          )}
          {union !== null ? (
            <UnionCanvas key={union.nth} show={showLine} subject={union.of} />
          ) : shown === null ? (
            <p className="quiet padded">
              {unreadable === null ? undrawable(seen.text, seen.object) : "There is nothing to draw yet."} The
              text is kept as it is.
            </p>
          ) : (
            <Canvas {...shown} act={act} show={show} />
          )}
        </section>
        <section className="yaml-pane" aria-label="YAML">
          <Suspense fallback={<p className="quiet padded">Loading …</p>}>
            <YamlPane
              file={file}
              reveal={reveal}
              onType={typed}
              onLine={onLine}
              onUndo={undo}
              onRedo={redo}
              onFix={setFixing}
            />
          </Suspense>
        </section>
        <section className="panels" aria-label="Checks and questions">
          <div className="row pane-head">
            <button type="button" aria-pressed={panel === "checks"} onClick={() => setPanel("checks")}>
              Checks <Tally of={said} />
            </button>
            <button type="button" aria-pressed={panel === "try"} onClick={() => setPanel("try")}>
              Try it
            </button>
            {live && (
              <button type="button" aria-pressed={panel === "cluster"} onClick={() => setPanel("cluster")}>
                What would change
              </button>
            )}
            {judgement?.rating && (
              <span className="quiet">
                Rating: {judgement.rating.word}, {judgement.rating.score}
              </span>
            )}
          </div>
          <div className="padded">
            {panel === "checks" && <Checks show={showLine} onFix={setFixing} />}
            {panel === "try" && <TryIt show={showLine} subject={subject} />}
            {panel === "cluster" && (
              <Suspense fallback={<p className="quiet">Loading …</p>}>
                <ClusterPanel />
              </Suspense>
            )}
          </div>
        </section>
      </div>
      {fixing !== null && <FixDialog remark={fixing} onClose={() => setFixing(null)} />}
    </div>
  );
}

/** The drawing of the text, or the last one of the same file while it cannot be read, and why it cannot. */
function useShown({ name, text, object, block }: { name: string; text: string } & Omit<Place, "file">): {
  shown: Shown | null;
  wrong: SyntaxProblem | null;
} {
  const last = useRef<{ name: string; shown: Shown } | null>(null);
  return useMemo(() => {
    const source = readSource(text);
    const wrong = source.problems[0] ?? null;
    if (wrong !== null) {
      const before = last.current?.name === name ? { ...last.current.shown, stale: true } : null;
      return { shown: before, wrong };
    }
    const objects = objectsOf(source);
    const found = objects[Math.min(object, objects.length - 1)];
    const drawing = found === undefined ? null : draw(found);
    const drawn = drawing?.blocks[Math.min(block, drawing.blocks.length - 1)];
    if (drawing === null || drawn === undefined) return { shown: null, wrong };
    const shown = { drawing, block: drawn, stale: false };
    last.current = { name, shown };
    return { shown, wrong };
  }, [name, text, object, block]);
}

/** The object and the rule block that a line is in. */
function placeOfLine(text: string, line: number): { object: number; block: number } {
  const source = readSource(text);
  const objects = objectsOf(source);
  const object = Math.max(
    0,
    objects.findLastIndex((one) => one.line <= line),
  );
  const found = objects[object];
  const blocks = (found === undefined ? null : draw(found))?.blocks ?? [];
  const block = blocks.findLastIndex(
    (one) => found !== undefined && lineAt(source, found.doc, one.path) <= line,
  );
  return { object, block: Math.max(0, block) };
}

/** A workload that the policy selects: the one to ask about first. */
function subjectOf(shown: Shown | null): Subject {
  const selector = shown?.block.subject?.selector;
  const chosen = (selector?.matchExpressions ?? []).flatMap((one) =>
    one.operator === "In" && one.values?.[0] ? [[one.key, one.values[0]]] : [],
  );
  const matchLabels = { ...Object.fromEntries(chosen), ...selector?.matchLabels };
  const labels = selectorText({ matchLabels, matchExpressions: null });
  return { namespace: shown?.drawing.namespace || "default", labels };
}

function BlockChoice({ shown }: { shown: Shown }) {
  const { go } = useWorkspace();
  const { blocks } = shown.drawing;
  if (blocks.length < 2) return null;
  return (
    <label className="row">
      <span>Rules of</span>
      <select
        value={blocks.indexOf(shown.block)}
        onChange={(event) => go({ block: Number(event.target.value) })}
      >
        {blocks.map((one, at) => (
          <option key={one.label} value={at}>
            {one.label}
          </option>
        ))}
      </select>
    </label>
  );
}
