/** What is there: an overview, and a page for each workload, policy and name (`#/live/workload/NS/NAME`, …). */

import { address, useRoute } from "../shell/route";
import { useSession } from "../shell/session";
import "./live.css";
import { NamePage } from "./pages/name-page";
import { Overview } from "./pages/overview";
import { PolicyPage } from "./pages/policy-page";
import { WorkloadPage } from "./pages/workload-page";
import { NotLive, StatusStrip } from "./status-strip";

export default function LiveView() {
  const { live } = useSession();
  return live ? <Live /> : <NotLive />;
}

function Live() {
  const { parts } = useRoute();
  const [what, a = "", b = "", c = ""] = parts;
  return (
    <div className="live-page">
      <div className="live-page-head">
        {what ? <a href={address("live")}>← All that is live</a> : <h1>Live</h1>}
        <StatusStrip />
      </div>
      {what === "workload" && <WorkloadPage key={`${a}/${b}`} namespace={a} name={b} />}
      {what === "policy" && (
        <PolicyPage key={`${a}/${b}/${c}`} kind={a} namespace={b === "-" ? null : b} name={c} />
      )}
      {what === "name" && <NamePage key={a} name={a} />}
      {what !== "workload" && what !== "policy" && what !== "name" && <Overview />}
    </div>
  );
}
