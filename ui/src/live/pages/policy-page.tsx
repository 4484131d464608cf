/** One stored policy: its text to edit, what would change if it were so, what it selects, and the flows that it decided. */

import { useCallback, useEffect, useMemo, useState } from "react";
import type { LivePolicy } from "../../api";
import { api } from "../../api";
import { address } from "../../shell/route";
import { useOpenFiles } from "../allow-dialog";
import { ApplyResult, useApply } from "../apply";
import type { Workload } from "../model/choices";
import type { Row } from "../model/flow";
import { fileOf } from "../model/policyFile";
import { useLive } from "../use-live";
import { WhatWouldChange } from "../what-if";
import { Loading, RecentFlows, Section } from "./parts";

interface Props {
  kind: string;
  namespace: string | null;
  name: string;
}

export function PolicyPage({ kind, namespace, name }: Props) {
  const live = useLive();
  const text = namespace ? `${namespace}/${name}` : name;
  const policy = live.state?.policies.find(
    (each) => each.kind === kind && (each.namespace ?? "") === (namespace ?? "") && each.name === name,
  );
  const test = useCallback((row: Row) => row.policies.includes(text), [text]);
  return (
    <>
      <h1>
        {namespace && <span className="quiet">{namespace}/</span>}
        {name} <span className="chip">{kind}</span>{" "}
        {policy?.audit && <span className="chip warn">audit: nothing is dropped by it</span>}
      </h1>
      {live.state === null ? (
        <Loading error={live.error} />
      ) : policy === undefined ? (
        <p className="notice warn">
          No such policy is stored now. The flows that it decided are below, as long as they are kept.
        </p>
      ) : (
        <>
          <Text policy={policy} />
          <Selects policy={policy} workloads={live.workloads} />
        </>
      )}
      <RecentFlows test={test} query={{ policy: text }} />
    </>
  );
}

function Text({ policy }: { policy: LivePolicy }) {
  const stored = fileOf(policy);
  const [base, setBase] = useState(policy);
  const [text, setText] = useState(policy.text);
  const [sent, setSent] = useState("");
  const [progress, apply] = useApply();
  const openFiles = useOpenFiles();
  const changed = text !== base.text;
  const overtaken = policy.text !== base.text;
  const take = () => {
    setBase(policy);
    setText(policy.text);
  };
  if (overtaken && (!changed || (progress.kind === "done" && text === sent))) take();
  const applied = () => {
    // A version rises with every status too: what counts is whether the text that was edited is still there.
    const version = overtaken ? base.resourceVersion : policy.resourceVersion;
    setSent(text);
    apply(files, version ? { [`${policy.kind}/${policy.namespace ?? ""}/${policy.name}`]: version } : {});
  };
  const files = useMemo(() => [{ name: stored.name, text }], [stored.name, text]);
  const busy = progress.kind === "trying" || progress.kind === "applying";
  return (
    <Section
      title="Text"
      more={
        <div className="row">
          <button type="button" onClick={() => openFiles(files, `open ${policy.name}`)}>
            Open in the editor
          </button>
          <button type="button" disabled={!changed} onClick={take}>
            Take back
          </button>
          <button type="button" className="main" disabled={!changed || busy} onClick={applied}>
            {busy ? "Applying …" : "Apply"}
          </button>
        </div>
      }
    >
      <div className="live-edit">
        <textarea
          className="mono"
          aria-label={`Text of ${policy.name}`}
          spellCheck={false}
          rows={Math.min(30, Math.max(8, text.split("\n").length + 1))}
          value={text}
          onChange={(event) => setText(event.target.value)}
        />
        <div className="column">
          <ApplyResult progress={progress} />
          {overtaken && (
            <p className="notice warn" role="alert">
              It was changed on the server since you began; applying is refused. “Take back” shows the new
              text.
            </p>
          )}
          {changed ? (
            <WhatWouldChange files={files} />
          ) : (
            <p className="quiet">
              Edit the text to see which flows seen since start would get another verdict.
            </p>
          )}
        </div>
      </div>
    </Section>
  );
}

/** One question a set of labels, four at a time: what selects whom is the server's to say. */
function Selects({ policy, workloads }: { policy: LivePolicy; workloads: readonly Workload[] }) {
  const [found, setFound] = useState<readonly Workload[] | null>(null);
  const asked = JSON.stringify([
    policy.text,
    workloads.map((each) => [each.namespace, each.name, each.labels]),
  ]);
  // biome-ignore lint/correctness/useExhaustiveDependencies: `asked` is all that matters of both
  useEffect(() => {
    const stop = new AbortController();
    selected(policy, workloads, stop.signal)
      .then((all) => !stop.signal.aborted && setFound(all))
      .catch(() => undefined);
    return () => stop.abort();
  }, [asked]);
  return (
    <Section title={found === null ? "Selects" : `Selects (${found.length})`}>
      {found === null && <p className="quiet">Asking …</p>}
      {found?.length === 0 && <p className="notice warn">It selects no workload that runs now.</p>}
      <ul className="row">
        {found?.map((each) => (
          <li key={`${each.namespace}/${each.name}`}>
            <a className="chip" href={address("live", ["workload", each.namespace, each.name])}>
              {each.namespace}/{each.name}
            </a>
          </li>
        ))}
      </ul>
    </Section>
  );
}

async function selected(
  policy: LivePolicy,
  workloads: readonly Workload[],
  signal: AbortSignal,
): Promise<Workload[]> {
  const queue = workloads.filter((each) => policy.namespace === null || each.namespace === policy.namespace);
  const found: Workload[] = [];
  const worker = async () => {
    for (let each = queue.shift(); each !== undefined && !signal.aborted; each = queue.shift()) {
      const subject = { namespace: each.namespace, name: each.name, labels: { ...each.labels } };
      const union = await api.union([fileOf(policy)], subject, signal);
      if (union.edges.length || union.ingress.by.length || union.egress.by.length) found.push(each);
    }
  };
  await Promise.all([worker(), worker(), worker(), worker()]);
  return found.sort((a, b) => (`${a.namespace}/${a.name}` < `${b.namespace}/${b.name}` ? -1 : 1));
}
