/** Applying files: the server judges all of them without storing (dry run), and only if it takes all they are stored. */

import { useState } from "react";
import type { Applied, PolicyFile } from "../api";
import { ApiError, api } from "../api";
import { useAnnounce } from "../shell/announcer";
import { refresh } from "./polled";

export type Progress =
  | { readonly kind: "idle" }
  | { readonly kind: "trying" | "applying" }
  | { readonly kind: "done" | "refused"; readonly results: Applied["results"] }
  | { readonly kind: "failed"; readonly why: string };

export type Versions = Record<string, string>;

export async function applyFiles(
  files: readonly PolicyFile[],
  versions: Versions,
  tell: (progress: Progress) => void,
): Promise<void> {
  try {
    for (const dryRun of [true, false]) {
      tell({ kind: dryRun ? "trying" : "applying" });
      const { results } = await api.apply(files, dryRun, versions);
      if (results.some((each) => each.error)) {
        tell({ kind: "refused", results });
        return;
      }
      if (!dryRun) tell({ kind: "done", results });
    }
    void refresh();
  } catch (error) {
    tell({ kind: "failed", why: error instanceof ApiError ? error.message : String(error) });
  }
}

/** `[progress, apply]`; the end is announced. `versions` are those that were edited, where that is known. */
export function useApply(): [Progress, (files: readonly PolicyFile[], versions?: Versions) => void] {
  const announce = useAnnounce();
  const [progress, setProgress] = useState<Progress>({ kind: "idle" });
  const apply = (files: readonly PolicyFile[], versions: Versions = {}) => {
    void applyFiles(files, versions, (now) => {
      setProgress(now);
      if (now.kind === "done") announce("Applied");
      if (now.kind === "refused" || now.kind === "failed") announce("Not applied");
    });
  };
  return [progress, apply];
}

export function ApplyResult({ progress }: { progress: Progress }) {
  switch (progress.kind) {
    case "idle":
      return null;
    case "trying":
      return <p className="quiet">Dry run on the server …</p>;
    case "applying":
      return <p className="quiet">The server takes it; applying …</p>;
    case "failed":
      return (
        <p className="notice deny" role="alert">
          Not applied: {progress.why}
        </p>
      );
    case "done":
    case "refused":
      return (
        <div className={progress.kind === "done" ? "notice allow" : "notice deny"} role="alert">
          <p>
            {progress.kind === "done"
              ? "Applied, after a dry run that found nothing wrong."
              : "Nothing was applied: the dry run was refused."}
          </p>
          <ul>
            {progress.results.map((each) => (
              <li key={`${each.kind}/${each.namespace}/${each.name}`}>
                {each.kind} <strong>{each.namespace ? `${each.namespace}/${each.name}` : each.name}</strong>:{" "}
                {each.error ?? each.operation}
              </li>
            ))}
          </ul>
        </div>
      );
  }
}
