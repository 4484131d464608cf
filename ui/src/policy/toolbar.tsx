/** What can be done with the open files as a whole. */
import { Suspense, useState } from "react";
import type { Block, Drawing } from "../model/draw";
import { Dialog } from "../shell/dialog";
import { later } from "../shell/later";
import { download } from "../shell/transfer";
import { useWorkspace } from "../workspace/workspace";
import { ChangesDialog } from "./changes-dialog";
import { ConvertDialog } from "./convert-dialog";
import { NewPolicy } from "./new-policy";
import { ShortcutsDialog } from "./shortcuts-dialog";

const ShareDialog = later(() => import("../export/share-dialog"));

type Open = "new" | "changes" | "convert" | "share" | "keys" | null;

interface Props {
  drawing: Drawing | null;
  block: Block | null;
  onOpen: () => void;
}

export function Toolbar({ drawing, block, onOpen }: Props) {
  const { file, changed, undoes, redoes, undo, redo } = useWorkspace();
  const [open, setOpen] = useState<Open>(null);
  const close = () => setOpen(null);
  return (
    <>
      <section className="row toolbar" aria-label="Policy">
        <button type="button" onClick={() => setOpen("new")}>
          New …
        </button>
        <button type="button" onClick={onOpen}>
          Open …
        </button>
        <button
          type="button"
          disabled={file === null}
          onClick={() => file !== null && download(file.name, file.text, "application/yaml")}
        >
          Download
        </button>
        <span className="divider" />
        <button type="button" disabled={undoes === null} title={undoes ?? undefined} onClick={undo}>
          Undo
        </button>
        <button type="button" disabled={redoes === null} title={redoes ?? undefined} onClick={redo}>
          Redo
        </button>
        <button type="button" disabled={changed.length === 0} onClick={() => setOpen("changes")}>
          Changes …
        </button>
        <span className="divider" />
        <button type="button" disabled={drawing === null} onClick={() => setOpen("convert")}>
          Kind …
        </button>
        <button type="button" onClick={() => setOpen("share")}>
          Share …
        </button>
        <button type="button" className="plain" onClick={() => setOpen("keys")}>
          Keys
        </button>
      </section>
      {open === "new" && (
        <Dialog title="New policy" onClose={close}>
          <NewPolicy onDone={close} />
        </Dialog>
      )}
      {open === "changes" && <ChangesDialog onClose={close} />}
      {open === "convert" && drawing !== null && <ConvertDialog drawing={drawing} onClose={close} />}
      {open === "share" && (
        <Suspense>
          <ShareDialog drawing={drawing} block={block} onClose={close} />
        </Suspense>
      )}
      {open === "keys" && <ShortcutsDialog onClose={close} />}
    </>
  );
}
