/**
 * The token of the address (`#token=…`), kept for this tab and taken out of the address bar and its history.
 *
 * A fragment is never sent to a server, and sessionStorage is this tab's alone; the token leaves the page only in
 * the Authorization header of requests to the server the page came from.
 */
const KEY = "namewall.token";

/** Take the token out of the address, if there is one. Says whether there was. */
export function takeToken(): boolean {
  const found = /(?:^#|&)token=([^&]*)/.exec(location.hash);
  if (found === null) return false;
  sessionStorage.setItem(KEY, decodeURIComponent(found[1] ?? ""));
  const rest = location.hash.replace(found[0], "").replace(/^#?&?/, "");
  history.replaceState(null, "", `${location.pathname}${location.search}#${rest || "/policy"}`);
  return true;
}

export function token(): string | null {
  return sessionStorage.getItem(KEY);
}
