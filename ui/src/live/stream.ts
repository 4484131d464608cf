/**
 * The flow stream: one long request that goes on where it was when it breaks.
 *
 * `POST /api/flows` answers with JSON lines for as long as it stays open. When it ends (the agent restarted, the laptop slept) it is
 * asked again with `after`, the uuid of the newest flow that we have, so that nothing is told twice and nothing is left out.
 */

import { Lines } from "./model/lines";

export type StreamState =
  | { readonly kind: "off" }
  | { readonly kind: "connecting" }
  | { readonly kind: "live"; readonly since: number }
  | { readonly kind: "waiting"; readonly why: string }
  /** The token is not, or no longer, good: asking again would not help. */
  | { readonly kind: "refused"; readonly why: string };

export interface Streaming {
  readonly open: (body: unknown, signal: AbortSignal) => Promise<Response>;
  readonly after: () => string;
  readonly onLines: (lines: string[]) => void;
  readonly onState: (state: StreamState) => void;
  readonly signal: AbortSignal;
  readonly now: () => number;
  readonly sleep: (milliseconds: number) => Promise<void>;
}

/** Flows of the past that are asked for first. */
export const HISTORY = 5000;
const FIRST_WAIT = 500;
const LONGEST_WAIT = 8000;

/** Returns when `signal` is aborted or the server refuses. */
export async function follow(streaming: Streaming): Promise<void> {
  let wait = FIRST_WAIT;
  while (!streaming.signal.aborted) {
    streaming.onState({ kind: "connecting" });
    let why = "the stream ended";
    try {
      const response = await streaming.open(request(streaming.after()), streaming.signal);
      if (response.status === 401 || response.status === 403) {
        streaming.onState({ kind: "refused", why: await reason(response) });
        return;
      }
      if (!response.ok || !response.body) why = await reason(response);
      else {
        streaming.onState({ kind: "live", since: streaming.now() });
        await readLines(response.body, (lines) => {
          wait = FIRST_WAIT;
          streaming.onLines(lines);
        });
      }
    } catch (error) {
      why = error instanceof Error ? error.message : String(error);
    }
    if (streaming.signal.aborted) break;
    streaming.onState({ kind: "waiting", why });
    await streaming.sleep(wait);
    wait = Math.min(LONGEST_WAIT, wait * 2);
  }
  streaming.onState({ kind: "off" });
}

export function request(after: string): Record<string, unknown> {
  return after ? { after, follow: true, namewall: true } : { number: HISTORY, follow: true, namewall: true };
}

async function readLines(
  body: ReadableStream<Uint8Array>,
  onLines: (lines: string[]) => void,
): Promise<void> {
  const lines = new Lines();
  const decoder = new TextDecoder();
  const reader = body.getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const whole = lines.take(decoder.decode(value, { stream: true }));
    if (whole.length) onLines(whole);
  }
}

/** The sentence of an error answer. */
async function reason(response: Response): Promise<string> {
  const text = await response.text().catch(() => "");
  try {
    const told = (JSON.parse(text) as { error?: unknown }).error;
    if (typeof told === "string") return told;
  } catch {
    // No JSON: something between us and the server answered.
  }
  return `the server answered ${response.status}`;
}
