/** Ways to the pages of workloads, names and policies. */

import { address } from "../shell/route";
import type { Party } from "./model/party";

export function PartyLink({ party }: { party: Party }) {
  if (party.kind === "workload") {
    return <a href={address("live", ["workload", party.namespace, party.name])}>{party.text}</a>;
  }
  if (party.kind === "name") return <a href={address("live", ["name", party.name])}>{party.text}</a>;
  return <span>{party.text}</span>;
}

export function PolicyLink({
  kind,
  namespace,
  name,
}: {
  kind: string;
  namespace: string | null;
  name: string;
}) {
  return (
    <a href={address("live", ["policy", kind, namespace ?? "-", name])}>
      {namespace ? `${namespace}/${name}` : name}
    </a>
  );
}

/** The arrow between two ends, also for those who hear it. */
export function To() {
  return (
    <>
      <span aria-hidden="true"> → </span>
      <span className="unseen"> to </span>
    </>
  );
}
