/** A fix as a difference, before it is taken: from the list of checks and from the marks in the text alike. */
import { useEffect, useState } from "react";
import { api, type Fix, type Remark } from "../api";
import { Dialog } from "../shell/dialog";
import { useJudgement } from "../workspace/judgement";
import { merged } from "../workspace/merged";
import { useWorkspace } from "../workspace/workspace";
import { FileDiff } from "./file-diff";

export function FixDialog({ remark, onClose }: { remark: Remark; onClose: () => void }) {
  const { files, edit } = useWorkspace();
  const { files: judged } = useJudgement();
  const [fix, setFix] = useState<Fix | null>(null);
  const [refusal, setRefusal] = useState<string | null>(null);
  const current = judged === files;
  useEffect(() => {
    // What came with the judgement is of the judged texts: for newer ones another is asked for.
    api
      .fix(files, current ? remark : { ...remark, fix: null })
      .then(setFix, (why: Error) => setRefusal(why.message));
  }, [files, current, remark]);
  return (
    <Dialog title={remark.fixable ?? "Fix"} onClose={onClose} wide>
      <p>{remark.message}</p>
      {refusal !== null && (
        <p className="notice deny" role="alert">
          {refusal}
        </p>
      )}
      {fix && <FileDiff before={files} after={merged(files, fix.files)} />}
      <div className="row end">
        <button type="button" onClick={onClose}>
          Cancel
        </button>
        {fix && (
          <button
            type="button"
            className="main"
            onClick={() => {
              edit(merged(files, fix.files), fix.label);
              onClose();
            }}
          >
            Put it in
          </button>
        )}
      </div>
    </Dialog>
  );
}
