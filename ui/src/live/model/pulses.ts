/**
 * Flows on their way over the map: a dot that runs along its link.
 *
 * Many flows of one link within a short time are one bigger dot, and there is a bound on dots, so that drawing costs the same at
 * 5 and at 5,000 flows a second.
 */

import type { Verdict } from "./flow";

export interface Pulse {
  readonly link: string;
  readonly verdict: Verdict;
  readonly start: number;
  flows: number;
}

/** Milliseconds a dot takes. */
export const JOURNEY = 1100;
const APART = 320;
const MOST = 140;

export class Pulses {
  private running: Pulse[] = [];
  private readonly latest = new Map<string, Pulse>();

  add(link: string, verdict: Verdict, flows: number, now: number): void {
    const last = this.latest.get(link);
    if (last && now - last.start < APART) {
      last.flows += flows;
      return;
    }
    // What is dropped is always told.
    if (this.running.length >= (verdict === "dropped" ? 2 : 1) * MOST) return;
    const pulse = { link, verdict, start: now, flows };
    this.running.push(pulse);
    this.latest.set(link, pulse);
  }

  /** Those on their way at `now`, each with how far it is: 0 to 1. A dropped flow stops halfway. */
  at(now: number): { pulse: Pulse; t: number }[] {
    this.running = this.running.filter((pulse) => now - pulse.start < JOURNEY);
    for (const [link, pulse] of this.latest) if (now - pulse.start >= JOURNEY) this.latest.delete(link);
    return this.running.map((pulse) => {
      const t = Math.min(1, Math.max(0, (now - pulse.start) / JOURNEY));
      return { pulse, t: pulse.verdict === "dropped" ? Math.min(0.5, t * 0.8) : t };
    });
  }

  get size(): number {
    return this.running.length;
  }

  clear(): void {
    this.running = [];
    this.latest.clear();
  }
}
