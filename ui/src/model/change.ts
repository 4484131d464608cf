/** Changes of one policy of a text: drawn, edited, drawn again, until all are in. */
import { type Block, type Drawing, draw } from "./draw";
import { readObjects } from "./objects";
import { applyEdits, EditError } from "./splice";
import type { Edit } from "./value";

/** What one step on the canvas does: it sees the policy as the steps before left it. */
export type Change = (drawing: Drawing, block: Block) => Edit[];

/** Makes the changes in one step of the history; says why it cannot be done, or null where it was. */
export type Act = (changes: readonly Change[], why: string) => string | null;

export function applyChanges(
  text: string,
  object: number,
  block: number,
  changes: readonly Change[],
): string {
  return changes.reduce((before, change) => {
    const found = readObjects(before)[object];
    const drawing = found === undefined ? null : draw(found);
    const drawn = drawing?.blocks[block];
    if (found === undefined || drawing === null || drawn === undefined) {
      throw new EditError("there is no policy to change: it needs `apiVersion`, `kind` and `spec`");
    }
    return applyEdits(before, found.doc, change(drawing, drawn));
  }, text);
}
