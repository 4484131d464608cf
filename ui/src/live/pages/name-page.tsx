/** One name: who learned it, at which addresses and for how long, and the flows to it. */

import { useCallback } from "react";
import { address } from "../../shell/route";
import type { Row } from "../model/flow";
import { nameParty, workloadOf } from "../model/party";
import { duration } from "../model/words";
import { useLive } from "../use-live";
import { Loading, RecentFlows, Section, TimeLeft, Wide } from "./parts";

export function NamePage({ name }: { name: string }) {
  const live = useLive();
  const party = nameParty(name);
  const test = useCallback(
    (row: Row) => row.source.id === party.id || row.destination.id === party.id || row.query === party.name,
    [party.id, party.name],
  );
  const rows = (live.state?.names ?? []).filter((each) => nameParty(each.name).id === party.id);
  const addresses = [...new Set(rows.flatMap((each) => each.addresses))];
  const others = [
    ...new Set(
      (live.state?.names ?? [])
        .filter(
          (each) =>
            nameParty(each.name).id !== party.id && each.addresses.some((ip) => addresses.includes(ip)),
        )
        .map((each) => nameParty(each.name).name),
    ),
  ];
  return (
    <>
      <h1>{party.name}</h1>
      {live.state === null ? (
        <Loading error={live.error} />
      ) : (
        <Section title="Who learned it">
          {rows.length === 0 ? (
            <p className="quiet">No workload has it now: nobody asked, or its time is over.</p>
          ) : (
            <Wide label="Who learned it">
              <table className="live-plain">
                <thead>
                  <tr>
                    <th scope="col">Workload</th>
                    <th scope="col">Pod</th>
                    <th scope="col">Addresses</th>
                    <th scope="col">Time left</th>
                  </tr>
                </thead>
                <tbody>
                  {rows.map((each) => (
                    <tr key={`${each.namespace}/${each.pod}/${each.addresses.join()}`}>
                      <td>
                        <a
                          href={address("live", ["workload", each.namespace, workloadOf({ name: each.pod })])}
                        >
                          {each.namespace}/{workloadOf({ name: each.pod })}
                        </a>
                      </td>
                      <td>{each.pod}</td>
                      <td className="mono">{each.addresses.join(", ")}</td>
                      <td>
                        <TimeLeft seconds={each.secondsLeft} words={duration(each.secondsLeft)} />
                      </td>
                    </tr>
                  ))}
                </tbody>
              </table>
            </Wide>
          )}
          {others.length > 0 && (
            <p className="notice warn">
              Its addresses also have other names: {others.slice(0, 8).join(", ")}
              {others.length > 8 ? ` and ${others.length - 8} more` : ""}. What is allowed by address is
              allowed to them as well.
            </p>
          )}
        </Section>
      )}
      <RecentFlows test={test} query={{ name: party.name }} />
    </>
  );
}
