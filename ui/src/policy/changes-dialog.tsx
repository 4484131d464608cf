/** What became of the files since they were opened, and all that changed to take along. */
import { FileDiff } from "../panels/file-diff";
import { Dialog } from "../shell/dialog";
import { download } from "../shell/transfer";
import { useWorkspace } from "../workspace/workspace";

export function ChangesDialog({ onClose }: { onClose: () => void }) {
  const { opened, changed } = useWorkspace();
  return (
    <Dialog title="Changes since the files were opened" onClose={onClose} wide>
      <FileDiff before={opened} after={changed} />
      <div className="row end">
        <button type="button" onClick={onClose}>
          Close
        </button>
        <button
          type="button"
          className="main"
          onClick={() => {
            for (const { name, text } of changed) download(name, text, "application/yaml");
          }}
        >
          {changed.length === 1 ? "Download it" : `Download all ${changed.length}`}
        </button>
      </div>
    </Dialog>
  );
}
