/** How the stream is: live or not, how much comes, what was lost. */

import { useSession } from "../shell/session";
import { connection } from "./connection";
import { plural, short } from "./model/words";
import type { StreamState } from "./stream";
import { useEvery, useFlows, useStream } from "./use-live";

export function StatusStrip() {
  const state = useStream();
  const now = useEvery(500);
  useFlows(500);
  const { store } = connection;
  const lost = [...store.lost.values()].reduce((sum, count) => sum + count, 0);
  const rate = connection.rate(now);
  return (
    <div className="live-status" data-total={store.total}>
      <span className={`live-dot ${state.kind}`} aria-hidden="true" />
      <span role="status">{stateWords(state)}</span>
      {state.kind === "waiting" && (
        <span className="quiet live-why" title={state.why}>
          {state.why}
        </span>
      )}
      {rate !== null && (
        <span className="quiet">{rate < 10 ? rate.toFixed(1) : Math.round(rate)} flows/s</span>
      )}
      <span className="quiet">{short(store.rows.length)} kept</span>
      {lost > 0 && (
        <span
          className="verdict v-audit"
          title={[...store.lost].map(([why, count]) => `${why}: ${count}`).join("\n")}
        >
          {plural(lost, "event")} lost
        </span>
      )}
    </div>
  );
}

function stateWords(state: StreamState): string {
  switch (state.kind) {
    case "off":
      return "Off";
    case "connecting":
      return "Connecting …";
    case "live":
      return "Live";
    case "waiting":
      return "Not connected, trying again";
    case "refused":
      return `Refused: ${state.why}`;
  }
}

/** What stands in the place of a live view where nothing live may be seen. */
export function NotLive() {
  const { session, error } = useSession();
  if (session === null && error === null) return <p className="quiet padded">Loading …</p>;
  return (
    <div className="padded column">
      <h2>Live workloads and flows</h2>
      {session?.live ? (
        <p>
          This page was opened without its token. Open the address that <code>namewall status</code> prints:
          it ends in <code>#token=…</code>
        </p>
      ) : (
        <p>
          This server has no workloads: it was started by <code>namewall editor</code>. Start{" "}
          <code>namewall up</code> and open the address that it prints.
        </p>
      )}
    </div>
  );
}
