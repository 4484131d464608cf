/** What the server is, asked once: its version, whether it has live workloads, and the files it was started with. */
import { createContext, type ReactNode, useContext, useEffect, useState } from "react";
import { ApiError, api, isAbort, type Session } from "../api";
import { token } from "./token";

export interface SessionState {
  session: Session | null;
  error: string | null;
  /** The live requests may be made: the server has something live, and this page has a token. */
  live: boolean;
}

const Context = createContext<SessionState>({ session: null, error: null, live: false });

export function useSession(): SessionState {
  return useContext(Context);
}

export function SessionProvider({ children }: { children: ReactNode }) {
  const [state, setState] = useState<SessionState>({ session: null, error: null, live: false });
  useEffect(() => {
    const stop = new AbortController();
    api
      .session(stop.signal)
      .then((session) => setState({ session, error: null, live: session.live && token() !== null }))
      .catch((error: unknown) => {
        if (isAbort(error)) return;
        const message = error instanceof ApiError ? error.message : String(error);
        setState({ session: null, error: message, live: false });
      });
    return () => stop.abort();
  }, []);
  return <Context value={state}>{children}</Context>;
}
