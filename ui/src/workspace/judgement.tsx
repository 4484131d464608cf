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
