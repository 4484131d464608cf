/** Parts of the page that are loaded when they are first opened. */
import { type ComponentType, lazy } from "react";

/** Milliseconds before a part that did not come is asked for again: networks come and go (a laptop wakes, a VPN is up). */
const PAUSES: readonly number[] = [250, 1500];

/** It did not come after the last pause either: always so where the browser keeps a module's failure (whatwg/html#6768). */
export class NotLoaded extends Error {}

// biome-ignore lint/suspicious/noExplicitAny: React's own bound
export function later<T extends ComponentType<any>>(load: () => Promise<{ default: T }>) {
  return lazy(() => persistently(load, PAUSES));
}

/** What `load` gives, tried once more after each pause. */
export async function persistently<T>(load: () => Promise<T>, pauses: readonly number[]): Promise<T> {
  try {
    return await load();
  } catch (error) {
    const [pause, ...rest] = pauses;
    if (pause === undefined) throw new NotLoaded(error instanceof Error ? error.message : String(error));
    await new Promise((resolve) => setTimeout(resolve, pause));
    return persistently(load, rest);
  }
}
