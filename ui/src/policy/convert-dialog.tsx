/** Another kind for a policy: what would be lost is said before it is done. */
import { useEffect, useState } from "react";
import { ApiError, api, type Conversion, isAbort } from "../api";
import { KIND_TITLES } from "../canvas/words";
import type { Drawing } from "../model/draw";
import { KINDS, type Kind } from "../model/objects";
import { FileDiff } from "../panels/file-diff";
import { Dialog } from "../shell/dialog";
import { useJudgement } from "../workspace/judgement";
import { useWorkspace } from "../workspace/workspace";

export function ConvertDialog({ drawing, onClose }: { drawing: Drawing; onClose: () => void }) {
  const { file, editText } = useWorkspace();
  const others = KINDS.filter((one) => one !== drawing.kind);
  const [kind, setKind] = useState<Kind>(others[0] ?? "NetworkPolicy");
  const [answer, setAnswer] = useState<Conversion | null>(null);
  const [error, setError] = useState<string | null>(null);
  const { judgement } = useJudgement();
  const { line } = drawing.object;
  // The server counts the policies alone; what a file holds beside them has no number there.
  const judged = judgement?.objects.find((one) => one.file === file?.name && one.line === line);
  const index = judged?.index ?? drawing.object.index;

  useEffect(() => {
    if (file === null) return;
    const stop = new AbortController();
    setAnswer(null);
    setError(null);
    api
      .convert(file, index, kind, stop.signal)
      .then(setAnswer)
      .catch((wrong: unknown) => {
        if (!isAbort(wrong)) setError(wrong instanceof ApiError ? wrong.message : String(wrong));
      });
    return () => stop.abort();
  }, [file, index, kind]);

  if (file === null) return null;
  const lost = answer?.lost ?? [];
  return (
    <Dialog title={`Another kind for ${drawing.name}`} onClose={onClose} wide>
      <label className="field">
        <span>Kind (now {KIND_TITLES[drawing.kind]})</span>
        <select value={kind} onChange={(event) => setKind(event.target.value as Kind)}>
          {others.map((one) => (
            <option key={one} value={one}>
              {KIND_TITLES[one]}
            </option>
          ))}
        </select>
      </label>
      <div aria-live="polite" className="column">
        {error !== null && <p className="notice deny">{error}</p>}
        {answer !== null && lost.length === 0 && <p className="notice allow">✓ The meaning is kept.</p>}
        {lost.length > 0 && (
          <div className="notice warn">
            <p>This would be lost:</p>
            <ul aria-label="What would be lost">
              {lost.map((one, at) => (
                // biome-ignore lint/suspicious/noArrayIndexKey: a list that is replaced whole
                <li key={at}>
                  <span className="mono">{one.path}</span> {one.message}
                </li>
              ))}
            </ul>
          </div>
        )}
      </div>
      {answer !== null && <FileDiff before={[file]} after={[{ name: file.name, text: answer.text }]} />}
      <div className="row end">
        <button type="button" onClick={onClose}>
          Cancel
        </button>
        <button
          type="button"
          className="main"
          disabled={answer === null}
          onClick={() => {
            if (answer === null) return;
            editText(file.name, answer.text, `make it a ${kind}`);
            onClose();
          }}
        >
          {lost.length > 0 ? "Convert and lose this" : "Convert"}
        </button>
      </div>
    </Dialog>
  );
}
