/** "Allow this": the smallest change that allows a dropped flow, shown as a diff before anything is applied. */

import { useEffect, useState } from "react";
import type { Allowance, PolicyFile } from "../api";
import { ApiError, api, isAbort } from "../api";
import { Dialog } from "../shell/dialog";
import { navigate } from "../shell/route";
import { useWorkspace } from "../workspace/workspace";
import { ApplyResult, useApply } from "./apply";
import { diffLines } from "./model/diffLines";
import type { Row } from "./model/flow";
import { portText } from "./model/flow";
import type { WireFlow } from "./model/wire";

export function AllowDialog({ flow, row, onClose }: { flow: WireFlow; row: Row; onClose: () => void }) {
  const [answer, setAnswer] = useState<Allowance | null>(null);
  const [problem, setProblem] = useState("");
  const [progress, apply] = useApply();
  const openFiles = useOpenFiles();

  useEffect(() => {
    const stop = new AbortController();
    api
      .allow(flow, stop.signal)
      .then(setAnswer)
      .catch((error: unknown) => {
        if (!isAbort(error)) setProblem(error instanceof ApiError ? error.message : String(error));
      });
    return () => stop.abort();
  }, [flow]);

  const busy = progress.kind === "trying" || progress.kind === "applying";
  const done = progress.kind === "done";
  const files = answer?.files ?? [];
  const title = `Allow ${row.source.text} → ${row.query || row.destination.text} at ${portText(row)}`;
  return (
    <Dialog title={title} onClose={onClose} wide>
      {problem && (
        <p className="notice deny" role="alert">
          {problem}
        </p>
      )}
      {!answer && !problem && <p className="quiet">Looking for the smallest change …</p>}
      {answer && <Answer answer={answer} />}
      <ApplyResult progress={progress} />
      <div className="row end">
        {files.length > 0 && !done && (
          <>
            <button type="button" onClick={() => openFiles(files, "allow a dropped flow")}>
              Open in the editor
            </button>
            <button
              type="button"
              className="main"
              disabled={busy}
              onClick={() => apply(files, answer?.versions)}
            >
              {busy ? "Applying …" : "Apply"}
            </button>
          </>
        )}
        <button type="button" onClick={onClose}>
          {done ? "Done" : "Cancel"}
        </button>
      </div>
    </Dialog>
  );
}

function Answer({ answer }: { answer: Allowance }) {
  if (answer.noPatch) return <p className="notice warn">No change of policy allows it: {answer.noPatch}</p>;
  if (answer.files.length === 0) {
    return (
      <p className="notice allow">
        {answer.allowed
          ? "The policies of now allow it already: it would pass today."
          : "There is nothing to change."}
      </p>
    );
  }
  return (
    <>
      <p>
        The smallest change, in {answer.files.map((file) => file.name).join(", ")}. Nothing is applied yet;
        applying asks the server for a dry run first.
      </p>
      <Diff text={answer.diff} />
    </>
  );
}

export function Diff({ text }: { text: string }) {
  const lines = diffLines(text).map((line, at) => ({ ...line, at }));
  return (
    <section
      className="live-diff"
      aria-label="The change"
      // biome-ignore lint/a11y/noNoninteractiveTabindex: a region that scrolls takes keys
      tabIndex={0}
    >
      {lines.map(({ kind, text: said, at }) => (
        <div key={at} className={`live-diff-line ${kind}`}>
          <span className="live-diff-sign">{kind === "added" ? "+" : kind === "removed" ? "−" : " "}</span>
          {kind === "added" && <span className="unseen">added: </span>}
          {kind === "removed" && <span className="unseen">removed: </span>}
          <code>{said || " "}</code>
        </div>
      ))}
    </section>
  );
}

/** Hands files to the Policy tab: an open file of the same name is replaced in one step that undo takes back. */
export function useOpenFiles(): (files: readonly PolicyFile[], why: string) => void {
  const { files: open, edit } = useWorkspace();
  return (files, why) => {
    const names = new Set(files.map((file) => file.name));
    const [first] = files;
    if (first === undefined) return;
    edit([...open.filter((file) => !names.has(file.name)), ...files], why, {
      file: first.name,
      object: 0,
      block: 0,
    });
    navigate("policy");
  };
}
