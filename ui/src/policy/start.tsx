/** Nothing is open yet: begin with an empty canvas, a template or a file. */

import { useWorkspace } from "../workspace/workspace";
import { NewPolicy } from "./new-policy";

export function Start({ onOpen }: { onOpen: () => void }) {
  const { undoes, redoes, undo, redo } = useWorkspace();
  return (
    <div className="start padded column">
      <h1>Who may talk to whom</h1>
      <p>
        Draw a policy, or open one: the picture and the YAML stay the same thing. Nothing leaves this machine.
      </p>
      <div className="row">
        <button type="button" onClick={onOpen}>
          Open files …
        </button>
        {undoes !== null && (
          <button type="button" onClick={undo}>
            Undo: {undoes}
          </button>
        )}
        {redoes !== null && (
          <button type="button" onClick={redo}>
            Redo: {redoes}
          </button>
        )}
      </div>
      <NewPolicy />
    </div>
  );
}
