/** The open files and the cluster: which flows seen since start they would change, and applying them. */

import type { PolicyFile } from "../api";
import { useWorkspace } from "../workspace/workspace";
import { ApplyResult, useApply } from "./apply";
import { WhatWouldChange } from "./what-if";
import "./live.css";

export default function ClusterPanel() {
  const { files } = useWorkspace();
  const [progress, apply] = useApply();
  const busy = progress.kind === "trying" || progress.kind === "applying";
  const written: readonly PolicyFile[] = files;
  return (
    <div className="column">
      <div className="row">
        <button type="button" className="main" disabled={busy} onClick={() => apply(written)}>
          {busy ? "Applying …" : "Apply the open files"}
        </button>
        <span className="hint">The server is asked for a dry run first.</span>
      </div>
      <ApplyResult progress={progress} />
      <WhatWouldChange files={written} />
    </div>
  );
}
