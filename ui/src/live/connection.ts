/**
 * The one flow stream of the page, and the store that it fills.
 *
 * Lines are queued as they come and taken once an animation frame, so that 500 flows a second cost 60 small batches. A tab that is not
 * looked at has no frames: then the queue is taken when it is long.
 */

import { token } from "../shell/token";
import type { Change } from "./model/store";
import { FlowStore } from "./model/store";
import type { StreamState } from "./stream";
import { follow } from "./stream";

/** Lines parsed in one frame: about 10 ms. */
const PER_FRAME = 1000;
const MOST_QUEUED = 10_000;
const RATE_WINDOW = 4000;
const HISTORY_COMES = 2500;

export class Connection {
  readonly store = new FlowStore();
  state: StreamState = { kind: "off" };
  private queue: string[] = [];
  private waiting = false;
  private stop: AbortController | null = null;
  private readonly onChange = new Set<(change: Change) => void>();
  private readonly onState = new Set<() => void>();
  private arrivals: { at: number; total: number }[] = [];

  /** Begins to follow; again does nothing. */
  start(): void {
    if (this.stop !== null) return;
    const stop = new AbortController();
    this.stop = stop;
    void follow({
      open: (body, signal) => openFlows(body, signal),
      after: () => {
        this.flush(this.queue.length); // what is queued must not be asked for again
        return this.store.lastUuid;
      },
      onLines: (lines) => this.take(lines),
      onState: (state) => this.tell(state),
      signal: stop.signal,
      now: () => Date.now(),
      sleep: (milliseconds) => new Promise((done) => setTimeout(done, milliseconds)),
    });
  }

  subscribe(changed: (change: Change) => void): () => void {
    this.onChange.add(changed);
    return () => this.onChange.delete(changed);
  }

  readonly subscribeState = (changed: () => void): (() => void) => {
    this.onState.add(changed);
    return () => this.onState.delete(changed);
  };

  /** Flows a second, over the last four; null where that is not known yet. */
  rate(now: number): number | null {
    const { arrivals, state } = this;
    if (state.kind !== "live" || now - state.since < HISTORY_COMES) {
      arrivals.length = 0; // what comes first is the past
      return null;
    }
    arrivals.push({ at: now, total: this.store.total });
    while (arrivals.length > 2 && (arrivals[1]?.at ?? now) <= now - RATE_WINDOW) arrivals.shift();
    const oldest = arrivals[0];
    if (oldest === undefined || now - oldest.at < 900) return null;
    return ((this.store.total - oldest.total) * 1000) / (now - oldest.at);
  }

  private tell(state: StreamState): void {
    this.state = state;
    for (const changed of this.onState) changed();
  }

  private take(lines: string[]): void {
    for (const line of lines) this.queue.push(line);
    if (this.queue.length > MOST_QUEUED && document.hidden) this.flush(this.queue.length);
    this.schedule();
  }

  private schedule(): void {
    if (this.waiting || this.queue.length === 0) return;
    this.waiting = true;
    const turn = () => {
      this.waiting = false;
      this.flush(PER_FRAME);
      this.schedule();
    };
    if (document.hidden) setTimeout(turn, 1000);
    else requestAnimationFrame(turn);
  }

  private flush(most: number): void {
    const lines = this.queue.length <= most ? this.queue : this.queue.slice(0, most);
    this.queue = this.queue.length <= most ? [] : this.queue.slice(most);
    const change = this.store.addLines(lines);
    if (change.added.length === 0) return;
    for (const changed of this.onChange) changed(change);
  }
}

function openFlows(body: unknown, signal: AbortSignal): Promise<Response> {
  return fetch("/api/flows", {
    method: "POST",
    headers: { "Content-Type": "application/json", Authorization: `Bearer ${token() ?? ""}` },
    body: JSON.stringify(body),
    signal,
    credentials: "omit",
    cache: "no-store",
  });
}

export const connection = new Connection();
