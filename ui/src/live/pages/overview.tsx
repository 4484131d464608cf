/** Everything that is live on one page: workloads, policies, names, each with the way to its own page. */

import { useMemo, useState } from "react";
import type { LiveState } from "../../api";
import { address } from "../../shell/route";
import { PolicyLink } from "../links";
import type { Verdict } from "../model/flow";
import { nameParty, workloadParty } from "../model/party";
import { plural } from "../model/words";
import { useLive, useMatches } from "../use-live";
import { CountChips } from "../verdict";
import { Loading, Section } from "./parts";

const all = () => true;

export function Overview() {
  const live = useLive();
  const [find, setFind] = useState("");
  const counts = useCounts();
  if (live.state === null) return <Loading error={live.error} />;
  const word = find.trim().toLowerCase();
  const fits = (text: string) => !word || text.toLowerCase().includes(word);
  const workloads = live.workloads.filter((each) => fits(`${each.namespace}/${each.name}`));
  const policies = live.state.policies.filter((each) => fits(`${each.namespace ?? ""}/${each.name}`));
  const names = live.names.filter(fits);
  return (
    <>
      <div className="live-tiles">
        <Tile
          value={live.workloads.length}
          title="workloads"
          more={plural(live.state.endpoints.length, "pod")}
        />
        <Tile
          value={live.state.policies.length}
          title="policies"
          more={plural(live.state.policies.filter((each) => each.audit).length, "in audit", "in audit")}
        />
        <Tile value={live.names.length} title="names" more="learned or spoken to" />
        <Tile
          value={counts.dropped}
          title="dropped flows"
          more={`of ${counts.total.toLocaleString("en")} kept`}
          deny={counts.dropped > 0}
        />
      </div>
      <Missing state={live.state} />
      <label className="live-find">
        <span>Find</span>
        <input
          type="search"
          value={find}
          onChange={(event) => setFind(event.target.value)}
          placeholder="workload, policy or name"
        />
      </label>
      <div className="live-columns">
        <Section title={`Workloads (${workloads.length})`}>
          <ul className="live-list">
            {workloads.map((each) => (
              <li key={`${each.namespace}/${each.name}`}>
                <a href={address("live", ["workload", each.namespace, each.name])}>
                  <span className="quiet">{each.namespace}/</span>
                  {each.name}
                </a>
                <CountChips counts={counts.of(workloadParty(each.namespace, each.name).id)} />
              </li>
            ))}
          </ul>
        </Section>
        <Section title={`Policies (${policies.length})`}>
          <ul className="live-list">
            {policies.map((each) => (
              <li key={`${each.kind}/${each.namespace}/${each.name}`}>
                <span>
                  <PolicyLink kind={each.kind} namespace={each.namespace} name={each.name} />
                  {each.audit && <span className="chip warn"> audit</span>}
                </span>
                <span className="quiet">{shortKind(each.kind)}</span>
              </li>
            ))}
          </ul>
          {policies.length === 0 && <p className="quiet">No policy: everything is allowed.</p>}
        </Section>
        <Section title={`Names (${names.length})`}>
          <ul className="live-list">
            {names.slice(0, 500).map((name) => (
              <li key={name}>
                <a href={address("live", ["name", name])}>{name}</a>
                <CountChips counts={counts.of(nameParty(name).id)} />
              </li>
            ))}
          </ul>
          {names.length === 0 && <p className="quiet">No workload asked for a name yet.</p>}
        </Section>
      </div>
    </>
  );
}

/** What the server could not ask of the agent. */
function Missing({ state }: { state: LiveState }) {
  return state.problem ? <p className="notice warn">Names are missing: {state.problem}</p> : null;
}

function shortKind(kind: string): string {
  return (
    { CiliumNetworkPolicy: "Cilium", CiliumClusterwideNetworkPolicy: "Cilium, clusterwide" }[kind] ?? kind
  );
}

function Tile({
  value,
  title,
  more,
  deny = false,
}: {
  value: number;
  title: string;
  more: string;
  deny?: boolean;
}) {
  return (
    <div className={deny ? "live-tile deny" : "live-tile"}>
      <strong>{value.toLocaleString("en")}</strong>
      <span>{title}</span>
      <span className="quiet">{more}</span>
    </div>
  );
}

/** Flows by party and verdict, once a second. */
function useCounts() {
  const { matches, version } = useMatches(all, 1000);
  // biome-ignore lint/correctness/useExhaustiveDependencies: the list is changed in place, `version` says when
  return useMemo(() => {
    const by = new Map<string, Record<Verdict, number>>();
    let dropped = 0;
    for (const row of matches.list) {
      if (row.verdict === "dropped") dropped += row.times;
      for (const party of [row.source, row.destination]) {
        const sum = by.get(party.id) ?? { forwarded: 0, audit: 0, dropped: 0 };
        sum[row.verdict] += row.times;
        by.set(party.id, sum);
      }
    }
    const none = { forwarded: 0, audit: 0, dropped: 0 };
    return { dropped, total: matches.list.length, of: (id: string) => by.get(id) ?? none };
  }, [matches, version]);
}
