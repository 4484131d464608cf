/** The filter that map and table share; it stands in the page's address, so that a link keeps it. */

import { useEffect, useSyncExternalStore } from "react";
import { address, parseRoute } from "../shell/route";
import type { Filter } from "./model/filter";
import { EVERYTHING, filterOf, queryOf } from "./model/filter";

let filter: Filter = EVERYTHING;
const listeners = new Set<() => void>();

export function setFilter(next: Filter): void {
  filter = next;
  for (const changed of listeners) changed();
}

function subscribe(changed: () => void): () => void {
  listeners.add(changed);
  return () => listeners.delete(changed);
}

/** `tab` is the view that asks: its address is kept up to date. */
export function useFilter(tab: string): [Filter, (next: Filter) => void] {
  const now = useSyncExternalStore(subscribe, () => filter);
  useEffect(() => {
    // Only a link that was followed sets the filter; what we write into the address ourselves is no such event.
    const followed = () => {
      const route = parseRoute(location.hash);
      if (route.tab === tab && route.query.size > 0) setFilter(filterOf(route.query));
    };
    followed();
    addEventListener("hashchange", followed);
    return () => removeEventListener("hashchange", followed);
  }, [tab]);
  useEffect(() => {
    const query = queryOf(now);
    const wanted = address(tab, [], Object.keys(query).length ? query : undefined);
    const timer = setTimeout(() => history.replaceState(null, "", wanted), 300);
    return () => clearTimeout(timer);
  }, [now, tab]);
  return [now, setFilter];
}
