/**
 * The text of the open file, in CodeMirror.
 *
 * The workspace holds the texts and their history; this shows one and reports typing. Changes from elsewhere come in
 * as the smallest splice, so the cursor stays where it was. Tab leaves the editor, as everywhere on the page.
 */
import {
  autocompletion,
  closeBrackets,
  closeBracketsKeymap,
  completionKeymap,
} from "@codemirror/autocomplete";
import { defaultKeymap } from "@codemirror/commands";
import { yaml } from "@codemirror/lang-yaml";
import {
  bracketMatching,
  foldGutter,
  foldKeymap,
  indentOnInput,
  indentUnit,
  syntaxHighlighting,
} from "@codemirror/language";
import {
  type Action,
  type Diagnostic,
  forEachDiagnostic,
  lintGutter,
  lintKeymap,
  setDiagnostics,
} from "@codemirror/lint";
import { search, searchKeymap } from "@codemirror/search";
import { Annotation, EditorState, type Extension } from "@codemirror/state";
import {
  drawSelection,
  EditorView,
  highlightActiveLine,
  highlightActiveLineGutter,
  highlightSpecialChars,
  keymap,
  lineNumbers,
} from "@codemirror/view";
import { classHighlighter } from "@lezer/highlight";
import { useEffect, useLayoutEffect, useRef } from "react";
import { api, type PolicyFile, type Remark } from "../api";
import { useLatest } from "../shell/latest";
import { useJudgement } from "../workspace/judgement";
import { complete, type Schemas } from "./completion";
import { judgedProblems, type LineProblem, syntaxProblems } from "./diagnostics";
import { shownText, typedInto } from "./shown";
import { changeBetween } from "./sync";
import "../styles/pane.css";

export interface Reveal {
  line: number;
  /** Another number is another wish, though the line be the same. */
  nth: number;
  /** Put the cursor there too. */
  focus: boolean;
}

interface Props {
  file: PolicyFile;
  reveal: Reveal | null;
  onType: (name: string, text: string) => void;
  /** The cursor is on another line. */
  onLine: (line: number) => void;
  onUndo: () => void;
  onRedo: () => void;
  /** Show the fix. */
  onFix: (remark: Remark) => void;
}

const FromOutside = Annotation.define<boolean>();
const SYNTAX_PAUSE = 40; // ms without a key before the syntax is looked at
const LONG = 40_000; // characters from which that takes long: the server is as quick then

export default function YamlPane(props: Props) {
  const { file, reveal } = props;
  const host = useRef<HTMLDivElement>(null);
  const view = useRef<EditorView | null>(null);
  const states = useRef(new Map<string, EditorState>());
  const shown = useRef<string>("");
  const sent = useRef<string[]>([]);
  const schemas = useRef<Schemas>({});
  const latest = useRef(props);
  latest.current = props;
  const { judgement, files: judged } = useJudgement();
  const local = useRef(false);
  const fix = useLatest(props.onFix);

  useEffect(() => {
    const stop = new AbortController();
    api
      .schema(stop.signal)
      .then((known) => {
        schemas.current = known;
      })
      .catch(() => undefined); // completion is a comfort
    return () => stop.abort();
  }, []);

  useLayoutEffect(() => {
    if (host.current === null) return;
    const editor = new EditorView({
      parent: host.current,
      state: newState("", extensions(latest, sent, schemas)),
    });
    view.current = editor;
    return () => {
      editor.destroy();
      view.current = null;
      shown.current = "";
    };
  }, []);

  // The file, and its text where it was changed elsewhere.
  useLayoutEffect(() => {
    const editor = view.current;
    if (editor === null) return;
    if (shown.current !== file.name) {
      if (shown.current !== "") states.current.set(shown.current, editor.state);
      const known = states.current.get(file.name);
      editor.setState(known ?? newState(shownText(file.text), extensions(latest, sent, schemas)));
      shown.current = file.name;
      sent.current = [];
    }
    const mine = sent.current.indexOf(file.text);
    if (mine >= 0) {
      sent.current.splice(0, mine + 1); // our own typing, come back
      if (sent.current.length > 0) return;
    }
    const before = editor.state.doc.toString();
    const text = shownText(file.text);
    if (before === text) return;
    sent.current = [];
    editor.dispatch({ changes: changeBetween(before, text), annotations: FromOutside.of(true) });
  }, [file.name, file.text]);

  useEffect(() => {
    const timer = setTimeout(
      () => {
        const problems = syntaxProblems(file.text);
        if (problems.length === 0 && !local.current) return;
        local.current = problems.length > 0;
        mark(view.current, problems, file.text, fix);
      },
      file.text.length > LONG ? 600 : SYNTAX_PAUSE,
    );
    return () => clearTimeout(timer);
  }, [file.text, fix]);

  useEffect(() => {
    if (judgement === null || judged.find((one) => one.name === file.name)?.text !== file.text) return;
    const problems = judgedProblems(judgement, file.name);
    local.current = false;
    mark(view.current, problems.length > 0 ? problems : syntaxProblems(file.text), file.text, fix);
  }, [judgement, judged, file.name, file.text, fix]);

  useEffect(() => {
    const editor = view.current;
    if (editor === null || reveal === null) return;
    const line = editor.state.doc.line(Math.max(1, Math.min(reveal.line, editor.state.doc.lines)));
    editor.dispatch({
      selection: { anchor: line.from, head: line.to },
      effects: EditorView.scrollIntoView(line.from, { y: "center" }),
      annotations: FromOutside.of(true),
    });
    if (reveal.focus) editor.focus();
  }, [reveal]);

  return <div className="yaml" ref={host} />;
}

function newState(text: string, known: Extension): EditorState {
  return EditorState.create({ doc: text, extensions: known });
}

interface Ref<T> {
  current: T;
}

function extensions(latest: Ref<Props>, sent: Ref<string[]>, schemas: Ref<Schemas>): Extension {
  return [
    EditorView.cspNonce.of(nonce()),
    EditorView.domEventHandlers({ keydown: (event) => historyKey(event, latest.current) }),
    lineNumbers(),
    highlightSpecialChars(), // what turns the direction of a line or has no width would hide what it says
    lintGutter(),
    foldGutter(),
    highlightActiveLine(),
    highlightActiveLineGutter(),
    drawSelection(),
    indentOnInput(),
    indentUnit.of("  "),
    bracketMatching(),
    closeBrackets(),
    yaml(),
    search({ top: true }),
    syntaxHighlighting(classHighlighter),
    autocompletion({ override: [(context) => complete(schemas.current, context)], icons: false }),
    keymap.of([
      ...closeBracketsKeymap,
      ...completionKeymap,
      ...lintKeymap,
      { key: "Mod-.", run: fixHere },
      ...foldKeymap,
      ...searchKeymap,
      ...defaultKeymap,
    ]),
    EditorView.contentAttributes.of({ "aria-label": "YAML of the policy", tabindex: "0" }),
    EditorView.updateListener.of((update) => {
      if (update.docChanged && !update.transactions.some((one) => one.annotation(FromOutside))) {
        const { file, onType } = latest.current;
        const text = typedInto(sent.current.at(-1) ?? file.text, update.state.doc.toString());
        sent.current.push(text);
        onType(file.name, text);
      }
      const typed = !update.transactions.some((one) => one.annotation(FromOutside));
      if (update.selectionSet && typed) {
        const line = update.state.doc.lineAt(update.state.selection.main.head).number;
        if (line !== update.startState.doc.lineAt(update.startState.selection.main.head).number) {
          latest.current.onLine(line);
        }
      }
    }),
  ];
}

/** One history for the text and the canvas. Not by the keymap: with Caps Lock it takes Shift+Z for Z. */
function historyKey(event: KeyboardEvent, { onUndo, onRedo }: Props): boolean {
  const key = event.key.toLowerCase();
  if (!(event.ctrlKey || event.metaKey) || event.altKey || (key !== "z" && key !== "y")) return false;
  event.preventDefault();
  (key === "y" || event.shiftKey ? onRedo : onUndo)();
  return true;
}

function mark(
  editor: EditorView | null,
  problems: readonly LineProblem[],
  text: string,
  fix: (remark: Remark) => void,
): void {
  if (editor === null || editor.state.doc.toString() !== shownText(text)) return;
  const { doc } = editor.state;
  const diagnostics = problems.map((one): Diagnostic => {
    const line = doc.line(Math.max(1, Math.min(one.line, doc.lines)));
    const first = line.from + (line.text.length - line.text.trimStart().length);
    const from = one.column === null ? first : Math.min(line.to, line.from + one.column - 1);
    return {
      from,
      to: Math.max(from, line.to),
      severity: one.severity,
      message: one.message,
      source: one.source,
      actions: one.fixable === null ? [] : [fixing(one.fixable, fix)],
    };
  });
  editor.dispatch(setDiagnostics(editor.state, diagnostics));
}

/** The button beside a message. */
function fixing(remark: Remark, fix: (remark: Remark) => void): Action {
  return {
    name: `Fix: ${remark.fixable}`,
    apply: (editor, from) => {
      // The button goes with its message: the dialog gives the focus back to the text, at the mark.
      editor.dispatch({ selection: { anchor: from } });
      editor.focus();
      fix(remark);
    },
  };
}

/** The first fix of the line that the cursor is on. */
function fixHere(editor: EditorView): boolean {
  const { doc, selection } = editor.state;
  const line = doc.lineAt(selection.main.head);
  let found = false;
  forEachDiagnostic(editor.state, ({ actions }, from, to) => {
    if (found || !actions?.[0] || from > line.to || to < line.from) return;
    found = true;
    actions[0].apply(editor, from, to);
  });
  return found;
}

function nonce(): string {
  return document.querySelector<HTMLMetaElement>('meta[property="csp-nonce"]')?.nonce ?? "";
}
