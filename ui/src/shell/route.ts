/**
 * Where in the page we are: `#/TAB/PART/PART?KEY=VALUE`. The fragment is all of it, so a link needs no server.
 */
import { useSyncExternalStore } from "react";

export interface Route {
  /** The first part: `policy`, `live`, `flows` or `map`. */
  tab: string;
  /** What follows, as `["workload", "default", "web"]`. */
  parts: string[];
  query: URLSearchParams;
}

export function parseRoute(hash: string): Route {
  const [path = "", query = ""] = hash.replace(/^#\/?/, "").split("?", 2);
  const [tab = "", ...parts] = path.split("/").map(decoded);
  return {
    tab: tab || "policy",
    parts: parts.filter((part) => part !== ""),
    query: new URLSearchParams(query),
  };
}

/** The address of a place in the page, for links. */
export function address(tab: string, parts: readonly string[] = [], query?: Record<string, string>): string {
  const path = [tab, ...parts].map(encodeURIComponent).join("/");
  const asked = query === undefined ? "" : `?${new URLSearchParams(query)}`;
  return `#/${path}${asked}`;
}

export function navigate(tab: string, parts: readonly string[] = [], query?: Record<string, string>): void {
  location.hash = address(tab, parts, query);
}

/** In the place of the address that led here: Back does not come to it again. */
export function redirect(tab: string): void {
  location.replace(address(tab));
}

function subscribe(changed: () => void): () => void {
  addEventListener("hashchange", changed);
  return () => removeEventListener("hashchange", changed);
}

let last: { hash: string; route: Route } | null = null;

function current(): Route {
  if (last?.hash !== location.hash) last = { hash: location.hash, route: parseRoute(location.hash) };
  return last.route;
}

export function useRoute(): Route {
  return useSyncExternalStore(subscribe, current);
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text; // not encoded by us: as it stands
  }
}
