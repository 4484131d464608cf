/** All that is known of one flow: its fields, the rules that decided, and what can be done about it. */

import { useEffect, useMemo, useRef, useState } from "react";
import { AllowDialog } from "./allow-dialog";
import { PartyLink, PolicyLink, To } from "./links";
import type { Row } from "./model/flow";
import { portText, reasonWords } from "./model/flow";
import type { WireEnd, WireFlow, WireRule } from "./model/wire";
import { clock } from "./model/words";
import { VERDICT_WORDS, VerdictChip } from "./verdict";

export function wireOf(row: Row): WireFlow {
  return (JSON.parse(row.text) as { flow: WireFlow }).flow;
}

export function FlowDetails({ row, onClose }: { row: Row; onClose: () => void }) {
  const flow = useMemo(() => wireOf(row), [row]);
  const [allowing, setAllowing] = useState(false);
  const heading = useRef<HTMLHeadingElement>(null);
  // biome-ignore lint/correctness/useExhaustiveDependencies: another flow, another panel to read
  useEffect(() => heading.current?.focus(), [row]);
  const reply = flow.is_reply === true;
  return (
    <aside
      className="live-panel"
      aria-label="Flow"
      onKeyDown={(event) => event.key === "Escape" && onClose()}
    >
      <header className="live-panel-head">
        <h2 ref={heading} tabIndex={-1}>
          <VerdictChip verdict={row.verdict} /> {portText(row)}
        </h2>
        <button type="button" className="icon plain" aria-label="Close" onClick={onClose}>
          ✕
        </button>
      </header>
      <p className="live-ends">
        <PartyLink party={row.source} /> <To /> <PartyLink party={row.destination} />
      </p>
      <p>
        {VERDICT_WORDS[row.verdict].long} {row.reason && <strong>{reasonWords(row.reason)}.</strong>}
      </p>
      {row.verdict !== "forwarded" && (
        <div className="row">
          <button type="button" className="main" onClick={() => setAllowing(true)}>
            Allow this …
          </button>
        </div>
      )}
      <Rules flow={flow} />
      <h3>Fields</h3>
      <dl className="live-fields-list">
        <Field name="Time" value={`${new Date(row.time).toLocaleDateString()} ${clock(row.time)}`} />
        <Field name="Direction" value={row.direction} />
        <Field name="Type" value={row.kind} />
        <Field name="What" value={row.summary} />
        <Field name="Asked for" value={row.query} />
        <Field name="Answer" value={flow.l7?.dns?.ips?.join(", ") ?? ""} />
        <Field name="Stands for" value={row.times > 1 ? `${row.times} flows` : ""} />
        <Field name="Logged" value={flow.policy_log?.join(", ") ?? ""} />
        <Field name="Node" value={flow.node_name ?? ""} />
        <Field name="Protocol" value={layer4Words(flow)} />
      </dl>
      <End
        title="Source"
        end={reply ? flow.destination : flow.source}
        address={row.sourceAddress}
        names={reply ? flow.destination_names : flow.source_names}
      />
      <End
        title="Destination"
        end={reply ? flow.source : flow.destination}
        address={row.destinationAddress}
        names={reply ? flow.source_names : flow.destination_names}
        stale={flow.namewall?.names_expired === true}
      />
      <details>
        <summary>JSON</summary>
        {/* biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls, so the keyboard must reach it */}
        <pre className="live-json" tabIndex={0}>
          {JSON.stringify(flow, null, 2)}
        </pre>
      </details>
      {allowing && <AllowDialog flow={flow} row={row} onClose={() => setAllowing(false)} />}
    </aside>
  );
}

function Rules({ flow }: { flow: WireFlow }) {
  const rules = flow.namewall?.rules ?? [];
  const selecting = flow.namewall?.selected_by ?? [];
  if (rules.length === 0 && selecting.length === 0) {
    return flow.event_type?.type === 5 ? (
      <p className="quiet">No policy selects this end: all is allowed.</p>
    ) : null;
  }
  return (
    <>
      <h3>{rules.length ? "Decided by" : "No rule allows it; default deny by"}</h3>
      <ul className="live-rules">
        {(rules.length ? rules : selecting).map((rule) => (
          <li key={ruleKey(rule)}>
            <PolicyLink kind={rule.kind} namespace={rule.namespace} name={rule.name} />
            {rule.rule && <code> {rule.rule}</code>}
          </li>
        ))}
      </ul>
    </>
  );
}

function ruleKey(rule: WireRule): string {
  return `${rule.kind}/${rule.namespace}/${rule.name}/${rule.rule ?? ""}`;
}

function Field({ name, value }: { name: string; value: string }) {
  if (!value) return null;
  return (
    <>
      <dt>{name}</dt>
      <dd>{value}</dd>
    </>
  );
}

interface EndProps {
  title: string;
  end: WireEnd | undefined;
  address: string;
  names: readonly string[] | undefined;
  stale?: boolean;
}

function End({ title, end, address: ip, names, stale = false }: EndProps) {
  return (
    <>
      <h3>{title}</h3>
      <dl className="live-fields-list">
        <Field name="Pod" value={end?.pod_name ? `${end.namespace}/${end.pod_name}` : ""} />
        <Field
          name="Workload"
          value={(end?.workloads ?? []).map((each) => `${each.kind} ${each.name}`).join(", ")}
        />
        <Field name="Names" value={(names ?? []).join(", ") + (stale ? " (expired by then)" : "")} />
        <Field name="Address" value={ip} />
        <Field name="Identity" value={end?.identity ? String(end.identity) : ""} />
        <Field name="Labels" value={(end?.labels ?? []).join("\n")} />
      </dl>
    </>
  );
}

function layer4Words(flow: WireFlow): string {
  const [protocol, fields] = Object.entries(flow.l4 ?? {})[0] ?? ["", {}];
  const ports = [fields.source_port, fields.destination_port].filter(Boolean).join(" → ");
  const flags = Object.keys(fields.flags ?? {}).join(" ");
  return [protocol, ports, flags].filter(Boolean).join(" ");
}
