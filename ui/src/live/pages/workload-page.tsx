/** One workload: who it is, which policies select it, which names it learned, and what it did last. */

import { useCallback, useEffect, useState } from "react";
import type { Rule, Subject, Union } from "../../api";
import { api, isAbort } from "../../api";
import { address } from "../../shell/route";
import { PolicyLink } from "../links";
import type { Row } from "../model/flow";
import { nameParty, workloadOf, workloadParty } from "../model/party";
import { fileOf } from "../model/policyFile";
import { duration } from "../model/words";
import { useEvery, useLive } from "../use-live";
import { Labels, Loading, RecentFlows, Section, TimeLeft, Wide } from "./parts";

export function WorkloadPage({ namespace, name }: { namespace: string; name: string }) {
  const live = useLive();
  const workload = live.workloads.find((each) => each.namespace === namespace && each.name === name);
  const { id } = workloadParty(namespace, name);
  const test = useCallback((row: Row) => row.source.id === id || row.destination.id === id, [id]);
  return (
    <>
      <h1>
        <span className="quiet">{namespace}/</span>
        {name}
      </h1>
      {live.state === null ? (
        <Loading error={live.error} />
      ) : workload === undefined ? (
        <p className="notice warn">
          No pod of this workload runs now. What it did is below, as long as it is kept.
        </p>
      ) : (
        <>
          <Labels labels={workload.labels} />
          <Section title={`Pods (${workload.pods.length})`}>
            <Wide label="Pods">
              <table className="live-plain">
                <thead>
                  <tr>
                    <th scope="col">Pod</th>
                    <th scope="col">Addresses</th>
                    <th scope="col">Identity</th>
                  </tr>
                </thead>
                <tbody>
                  {workload.pods.map((pod) => (
                    <tr key={pod.name}>
                      <td>{pod.name}</td>
                      <td className="mono">{pod.addresses.join(", ")}</td>
                      <td>{pod.identity}</td>
                    </tr>
                  ))}
                </tbody>
              </table>
            </Wide>
          </Section>
          <Selecting namespace={namespace} name={name} labels={workload.labels} />
          <Learned namespace={namespace} name={name} />
        </>
      )}
      <RecentFlows test={test} query={{ workload: `${namespace}/${name}` }} />
    </>
  );
}

/** Asked of the server's core (`union`), which alone says what selects whom and what is denied by default. */
function Selecting({
  namespace,
  name,
  labels,
}: {
  namespace: string;
  name: string;
  labels: Readonly<Record<string, string>>;
}) {
  const live = useLive();
  const policies = live.state?.policies;
  const [union, setUnion] = useState<Union | null>(null);
  const [problem, setProblem] = useState("");
  const subject = JSON.stringify({ namespace, name, labels });
  useEffect(() => {
    if (!policies) return;
    const stop = new AbortController();
    api
      .union(policies.map(fileOf), JSON.parse(subject) as Subject, stop.signal)
      .then((found) => {
        setUnion(found);
        setProblem("");
      })
      .catch((error: unknown) => {
        if (!isAbort(error)) setProblem(error instanceof Error ? error.message : String(error));
      });
    return () => stop.abort();
  }, [policies, subject]);
  const selecting = union === null ? [] : policiesOf(union);
  return (
    <Section
      title="Policies that select it"
      more={
        union && (
          <div className="row">
            <Enforced on={union.ingress.enforced} word="Ingress" />
            <Enforced on={union.egress.enforced} word="Egress" />
          </div>
        )
      }
    >
      {problem && <p className="notice deny">{problem}</p>}
      {union && selecting.length === 0 && (
        <p className="quiet">None: all traffic is allowed in both directions.</p>
      )}
      <ul className="live-list">
        {selecting.map((rule) => (
          <li key={`${rule.kind}/${rule.namespace}/${rule.policy}`}>
            <PolicyLink kind={rule.kind} namespace={rule.namespace} name={rule.policy} />
            <span className="quiet">{rule.kind}</span>
          </li>
        ))}
      </ul>
    </Section>
  );
}

function Enforced({ on, word }: { on: boolean; word: string }) {
  return (
    <span className={on ? "chip allow" : "chip warn"}>
      {word}: {on ? "denied unless allowed" : "all allowed"}
    </span>
  );
}

/** One rule of each policy. */
function policiesOf(union: Union): Rule[] {
  const rules = [...union.ingress.by, ...union.egress.by, ...union.edges.flatMap((edge) => edge.rules)];
  return [...new Map(rules.map((rule) => [`${rule.kind}/${rule.namespace}/${rule.policy}`, rule])).values()];
}

function Learned({ namespace, name }: { namespace: string; name: string }) {
  const live = useLive();
  const now = useEvery(1000);
  const [asked, setAsked] = useState(now);
  const { state } = live;
  // biome-ignore lint/correctness/useExhaustiveDependencies: the seconds are counted from when they were told
  useEffect(() => setAsked(Date.now()), [state]);
  const rows = (state?.names ?? []).filter(
    (each) => each.namespace === namespace && workloadOf({ name: each.pod }) === name,
  );
  return (
    <Section title={`Names it learned (${rows.length})`}>
      {rows.length === 0 ? (
        <p className="quiet">None: it asked for no name that a policy of it mentions.</p>
      ) : (
        <Wide label="Names it learned">
          <table className="live-plain">
            <thead>
              <tr>
                <th scope="col">Name</th>
                <th scope="col">Addresses</th>
                <th scope="col">Time left</th>
                <th scope="col">Pod</th>
              </tr>
            </thead>
            <tbody>
              {rows.map((each) => {
                const left = Math.max(0, each.secondsLeft - (now - asked) / 1000);
                return (
                  <tr key={`${each.pod}/${each.name}/${each.addresses.join()}`}>
                    <td>
                      <a href={address("live", ["name", nameParty(each.name).name])}>
                        {nameParty(each.name).name}
                      </a>
                    </td>
                    <td className="mono">{each.addresses.join(", ")}</td>
                    <td>
                      <TimeLeft seconds={left} words={duration(left)} />
                    </td>
                    <td>{each.pod}</td>
                  </tr>
                );
              })}
            </tbody>
          </table>
        </Wide>
      )}
    </Section>
  );
}
