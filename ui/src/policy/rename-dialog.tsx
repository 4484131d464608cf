/** Another name for an open file: that of the download, and what `policyFiles` of a unit test says. */
import { type FormEvent, useState } from "react";
import { Field } from "../canvas/field";
import { Dialog } from "../shell/dialog";
import { wrongName } from "../workspace/history";
import { useWorkspace } from "../workspace/workspace";

export function RenameDialog({ file, onClose }: { file: string; onClose: () => void }) {
  const { files, rename } = useWorkspace();
  const [name, setName] = useState(file);
  const wrong = name === file ? null : wrongName(files, name);
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (wrong !== null) return;
    if (name !== file) rename(file, name);
    onClose();
  };
  return (
    <Dialog title={`Rename ${file}`} onClose={onClose}>
      <form className="column" onSubmit={submit}>
        <Field label="File name" value={name} onChange={setName} error={wrong ?? undefined} />
        <div className="row">
          <button type="submit" className="main">
            Rename
          </button>
        </div>
      </form>
    </Dialog>
  );
}
