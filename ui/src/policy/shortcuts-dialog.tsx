/** The keys, all in one place. */
import { Dialog } from "../shell/dialog";

const KEYS: readonly [string, string][] = [
  ["Ctrl+Z", "undo, on the canvas and in the text alike"],
  ["Ctrl+Shift+Z or Ctrl+Y", "redo"],
  ["Tab, Shift+Tab", "from control to control; Tab leaves the text too"],
  ["arrows", "on the canvas: from card to card"],
  ["Enter", "on a card: edit it; in a dialog: do it"],
  ["Delete", "on a card: remove it"],
  ["i, e", "on the canvas: add to ingress, to egress"],
  ["Escape", "close a dialog, changing nothing"],
  ["Ctrl+F", "in the text: find"],
  ["Ctrl+Space", "in the text: what may stand here"],
  ["Ctrl+.", "in the text: the fix of what is marked in this line"],
  ["Ctrl+Shift+M, F8", "in the text: list of problems, next problem"],
];

export function ShortcutsDialog({ onClose }: { onClose: () => void }) {
  return (
    <Dialog title="Keys" onClose={onClose}>
      <table>
        <thead>
          <tr>
            <th scope="col">Key</th>
            <th scope="col">What it does</th>
          </tr>
        </thead>
        <tbody>
          {KEYS.map(([key, what]) => (
            <tr key={key}>
              <th scope="row">
                <kbd>{key}</kbd>
              </th>
              <td>{what}</td>
            </tr>
          ))}
        </tbody>
      </table>
      <p className="hint">On a Mac, Cmd is meant by Ctrl.</p>
    </Dialog>
  );
}
