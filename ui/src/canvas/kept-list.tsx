/** What the canvas cannot draw: shown with its path, and never changed. */
import type { Kept } from "../model/draw";
import type { Path } from "../model/value";
import { blockLines } from "../model/yaml-writing";

export function KeptList({ kept, show }: { kept: readonly Kept[]; show: (path: Path) => void }) {
  if (kept.length === 0) return null;
  return (
    <ul className="kept" aria-label="Kept as it is">
      {kept.map((one) => (
        <li key={one.label}>
          <div className="row">
            <span className="chip">kept as it is</span>
            <button type="button" className="plain mono link" onClick={() => show(one.path)}>
              {one.label}
            </button>
          </div>
          <pre>{blockLines(one.value, true).join("\n")}</pre>
        </li>
      ))}
    </ul>
  );
}
