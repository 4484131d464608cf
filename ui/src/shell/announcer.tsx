/** What happened, said to screen readers: one polite live region for the whole page. */
import { createContext, type ReactNode, useCallback, useContext, useRef, useState } from "react";

const Announce = createContext<(text: string) => void>(() => undefined);

export function useAnnounce(): (text: string) => void {
  return useContext(Announce);
}

export function Announcer({ children }: { children: ReactNode }) {
  const [text, setText] = useState("");
  const turn = useRef(false);
  const announce = useCallback((said: string) => {
    turn.current = !turn.current; // the same sentence twice is still two events
    setText(turn.current ? said : `${said}\u00a0`);
  }, []);
  return (
    <Announce value={announce}>
      {children}
      <div role="status" aria-live="polite" className="unseen" data-testid="announcer">
        {text}
      </div>
    </Announce>
  );
}
