/** The open files and the objects in them, to switch between; errors and warnings are counted at each. */
import { useDeferredValue, useMemo, useState } from "react";
import type { PolicyFile } from "../api";
import { readObjects } from "../model/objects";
import { severityOf } from "../pane/diagnostics";
import { Tally } from "../panels/tally";
import { useSettled } from "../shell/latest";
import { useJudgement } from "../workspace/judgement";
import { useWorkspace } from "../workspace/workspace";
import { RenameDialog } from "./rename-dialog";

const LONG = 40_000; // characters

interface Props {
  /** Show a line of a file, with the focus there or not. */
  goLine: (file: string, line: number, focus: boolean) => void;
}

export function FileList({ goLine }: Props) {
  const { files, place, go, edit } = useWorkspace();
  const { judgement } = useJudgement();
  const [renaming, setRenaming] = useState<string | null>(null);
  const said = [...(judgement?.problems ?? []), ...(judgement?.findings ?? [])];
  return (
    <nav className="files" aria-label="Open files">
      <ul className="row">
        {files.map((file, at) => {
          const its = said.filter((one) => one.file === file.name && severityOf(one.severity) !== "info");
          return (
            // biome-ignore lint/suspicious/noArrayIndexKey: under another name it is the same file, and keeps the focus
            <li key={at} className="file">
              <button
                type="button"
                className="plain"
                aria-current={file.name === place.file}
                onClick={() => go({ file: file.name, object: 0, block: 0 })}
              >
                {file.name} <Tally of={its} />
              </button>
              {file.name === place.file && <Objects file={file} goLine={goLine} />}
              <button
                type="button"
                className="plain icon"
                aria-label={`Rename ${file.name}`}
                onClick={() => setRenaming(file.name)}
              >
                ✎
              </button>
              <button
                type="button"
                className="plain icon"
                aria-label={`Close ${file.name}`}
                onClick={() =>
                  edit(
                    files.filter((one) => one !== file),
                    `close ${file.name}`,
                  )
                }
              >
                ✕
              </button>
            </li>
          );
        })}
      </ul>
      {renaming !== null && <RenameDialog file={renaming} onClose={() => setRenaming(null)} />}
    </nav>
  );
}

function Objects({ file, goLine }: Props & { file: PolicyFile }) {
  const { place } = useWorkspace();
  const text = useDeferredValue(useSettled(file.text, file.text.length > LONG ? 500 : 0));
  const objects = useMemo(() => readObjects(text), [text]);
  if (objects.length < 2) return null;
  return (
    <select
      aria-label={`Objects of ${file.name}`}
      value={Math.min(place.object, objects.length - 1)}
      onChange={(event) => goLine(file.name, objects[Number(event.target.value)]?.line ?? 1, false)}
    >
      {objects.map((one) => (
        <option key={one.index} value={one.index}>
          {one.index + 1}. {one.kind || "no kind"} {one.namespace === "" ? "" : `${one.namespace}/`}
          {one.name}
        </option>
      ))}
    </select>
  );
}
