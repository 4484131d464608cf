/**
 * Hooks over the live half's state: `useLive()` for what is there, `useMatches()` for flows, `useStream()` for the stream.
 *
 * Nothing here draws and nothing heavy is imported, so the policy editor may use `useLive()` for its suggestions.
 */

import { useEffect, useMemo, useRef, useState, useSyncExternalStore } from "react";
import type { LiveState } from "../api";
import { useSession } from "../shell/session";
import { connection } from "./connection";
import type { Choices } from "./model/choices";
import { choicesOf } from "./model/choices";
import type { Row } from "./model/flow";
import { Matches } from "./model/matches";
import type { Change } from "./model/store";
import { Pace } from "./pace";
import { polled, refresh, subscribePolled } from "./polled";
import type { StreamState } from "./stream";

export interface LiveHandle extends Choices {
  /** There is something live, and this page may see it. */
  readonly on: boolean;
  readonly state: LiveState | null;
  readonly error: string | null;
  /** Ask again at once. */
  refresh(): void;
}

const nothing = () => () => undefined;

/** Workloads, names, addresses, Services, namespaces and policies that are there now. Empty where nothing is live. */
export function useLive(): LiveHandle {
  const { live } = useSession();
  const { state, error } = useSyncExternalStore(live ? subscribePolled : nothing, polled);
  return useMemo(
    () => ({ on: live, state, error, ...choicesOf(state, seen()), refresh: () => void refresh() }),
    [live, state, error],
  );
}

/** Names and addresses of the newest flows. */
function seen(): { names: Set<string>; addresses: Set<string> } {
  const names = new Set<string>();
  const addresses = new Set<string>();
  for (const row of connection.store.rows) {
    for (const party of [row.source, row.destination]) {
      if (party.kind === "name") names.add(party.name);
      if (party.kind === "address") addresses.add(party.name);
    }
    if (row.query) names.add(row.query);
    if (names.size + addresses.size > 2000) break;
  }
  return { names, addresses };
}

/** Opens the stream when the first live view is opened; it then stays open. */
export function useStream(): StreamState {
  const { live } = useSession();
  useEffect(() => {
    if (live) connection.start();
  }, [live]);
  return useSyncExternalStore(connection.subscribeState, () => connection.state);
}

/**
 * The rows that pass `test`, which must stay the same function as long as it means the same. The component is drawn again at most every
 * `pause` milliseconds; `onChange` hears of each batch.
 */
export function useMatches(
  test: (row: Row) => boolean,
  pause: number,
  onChange?: (change: Change) => void,
): { matches: Matches; version: number } {
  const matches = useMemo(() => new Matches(connection.store, test), [test]);
  const [version, setVersion] = useState(0);
  const heard = useRef(onChange);
  heard.current = onChange;
  useEffect(() => {
    const draw = () => setVersion((before) => before + 1);
    const pace = new Pace(draw);
    matches.fill(); // what came between drawing and now
    draw();
    const leave = connection.subscribe((change) => {
      const passed = matches.apply(change);
      heard.current?.(passed);
      if (passed.added.length > 0 || passed.evicted.length > 0) pace.need(pause);
    });
    return () => {
      leave();
      pace.end();
    };
  }, [matches, pause]);
  return { matches, version };
}

/** Drawn again as flows come, at most every `pause` milliseconds. */
export function useFlows(pause: number): void {
  const [, setVersion] = useState(0);
  useEffect(() => {
    const pace = new Pace(() => setVersion((before) => before + 1));
    const leave = connection.subscribe(() => pace.need(pause));
    return () => {
      leave();
      pace.end();
    };
  }, [pause]);
}

/** Drawn again every `pause` milliseconds. */
export function useEvery(pause: number): number {
  const [now, setNow] = useState(() => Date.now());
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), pause);
    return () => clearInterval(timer);
  }, [pause]);
  return now;
}

export function useMedia(query: string): boolean {
  const list = useMemo(() => matchMedia(query), [query]);
  return useSyncExternalStore(
    (changed) => {
      list.addEventListener("change", changed);
      return () => list.removeEventListener("change", changed);
    },
    () => list.matches,
  );
}
