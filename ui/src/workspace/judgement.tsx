/**
 * What the server says of the open files, as they are edited: `const {judgement} = useJudgement()`.
 *
 * Asked a moment after the last change; an answer to older texts is dropped.
 */
import { createContext, type ReactNode, useContext, useEffect, useState } from "react";
import { ApiError, api, isAbort, type Judgement, type PolicyFile } from "../api";
import { useWorkspace } from "./workspace";

export interface JudgementState {
  judgement: Judgement | null;
  /** The texts that `judgement` is about: it is current where they are those of the workspace. */
  files: readonly PolicyFile[];
  error: string | null;
}

const PAUSE = 60; // ms without a change before the server is asked
const Context = createContext<JudgementState>({ judgement: null, files: [], error: null });

export function useJudgement(): JudgementState {
  return useContext(Context);
}

/** What no answer of the server takes into account, as `2 objects with problems`; null for nothing. */
export function useRefused(): string | null {
  const { judgement } = useJudgement();
  if (judgement === null) return null;
  const objects = judgement.objects.filter((one) => !one.accepted).length;
  const files = new Set(judgement.problems.filter((one) => one.source === "yaml").map((one) => one.file))
    .size;
  const said = [
    counted(objects, "object with problems", "objects with problems"),
    counted(files, "file that cannot be read", "files that cannot be read"),
  ];
  return said.filter((one) => one !== "").join(", ") || null;
}

function counted(number: number, one: string, several: string): string {
  return number === 0 ? "" : `${number} ${number === 1 ? one : several}`;
}

export function JudgementProvider({ children }: { children: ReactNode }) {
  const { files } = useWorkspace();
  const [state, setState] = useState<JudgementState>({ judgement: null, files: [], error: null });
  useEffect(() => {
    if (files.length === 0) return setState({ judgement: null, files, error: null });
    const stop = new AbortController();
    const timer = setTimeout(() => {
      api
        .judge(files, stop.signal)
        .then((judgement) => setState({ judgement, files, error: null }))
        .catch((error: unknown) => {
          if (isAbort(error)) return;
          const message = error instanceof ApiError ? error.message : String(error);
          setState({ judgement: null, files, error: message }); // that of older texts is none of these
        });
    }, PAUSE);
    return () => {
      clearTimeout(timer);
      stop.abort();
    };
  }, [files]);
  return <Context value={state}>{children}</Context>;
}
