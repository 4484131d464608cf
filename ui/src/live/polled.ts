/** What is there now (`GET /api/live`): asked every few seconds while somebody looks, and at once after something was applied. */

import type { LiveState } from "../api";
import { ApiError, api, isAbort } from "../api";

const PAUSE = 5000;

export interface Polled {
  readonly state: LiveState | null;
  readonly error: string | null;
}

let now: Polled = { state: null, error: null };
const listeners = new Set<() => void>();
let timer: ReturnType<typeof setTimeout> | undefined;
let asking = false;

export function polled(): Polled {
  return now;
}

export function subscribePolled(changed: () => void): () => void {
  listeners.add(changed);
  if (listeners.size === 1) void refresh();
  return () => {
    listeners.delete(changed);
    if (listeners.size === 0) clearTimeout(timer);
  };
}

/** The same answer as before changes nothing, so that nothing is drawn again. */
export async function refresh(): Promise<void> {
  clearTimeout(timer);
  if (!asking && !document.hidden) {
    asking = true;
    try {
      const state = await api.live();
      if (JSON.stringify(state) !== JSON.stringify(now.state) || now.error) publish({ state, error: null });
    } catch (error) {
      if (!isAbort(error))
        publish({ ...now, error: error instanceof ApiError ? error.message : String(error) });
    } finally {
      asking = false;
    }
  }
  clearTimeout(timer);
  if (listeners.size > 0) timer = setTimeout(() => void refresh(), PAUSE);
}

function publish(next: Polled): void {
  now = next;
  for (const changed of listeners) changed();
}
