/** The filter bar of map and table: it filters as you type. */

import { memo, useId, useMemo, useState } from "react";
import type { Filter } from "./model/filter";
import { EVERYTHING, isEverything, portProblem } from "./model/filter";
import type { Direction, Verdict } from "./model/flow";
import { VERDICTS } from "./model/flow";
import { useLive } from "./use-live";
import { VERDICT_WORDS } from "./verdict";

const PORTS = ["443", "80", "53/UDP", "TCP", "UDP"];
const MOST_OPTIONS = 300;

export function Filters({ filter, onChange }: { filter: Filter; onChange: (next: Filter) => void }) {
  const live = useLive();
  const id = useId();
  const workloads = useMemo(
    () => live.workloads.map((each) => `${each.namespace}/${each.name}`),
    [live.workloads],
  );
  const problem = portProblem(filter.port);
  const [more, setMore] = useState(false);
  const busy = !isEverything(filter);
  const toggle = (verdict: Verdict) => {
    const verdicts = new Set(filter.verdicts);
    if (!verdicts.delete(verdict)) verdicts.add(verdict);
    onChange({ ...filter, verdicts: verdicts.size ? verdicts : new Set(VERDICTS) });
  };
  return (
    <search className="live-filters" aria-label="Flows">
      <button
        type="button"
        className="live-narrow"
        aria-expanded={more}
        aria-controls={`${id}-fields`}
        onClick={() => setMore(!more)}
      >
        Filter{busy ? " (on)" : ""}
      </button>
      <div id={`${id}-fields`} className={more ? "live-fields open" : "live-fields"}>
        <Word
          label="Workload"
          value={filter.workload}
          list={workloads}
          onChange={(workload) => onChange({ ...filter, workload })}
          hint="part of namespace/name; !word leaves out"
        />
        <Word
          label="Name"
          value={filter.name}
          list={live.names}
          onChange={(name) => onChange({ ...filter, name })}
          hint="part of it, or *.example.com"
        />
        <Word
          label="Port"
          narrow
          value={filter.port}
          list={PORTS}
          onChange={(port) => onChange({ ...filter, port })}
          hint="443, 8000-8999, 53/UDP"
          problem={problem}
        />
        <fieldset className="live-group">
          <legend className="unseen">Verdict</legend>
          {VERDICTS.map((verdict) => (
            <button
              key={verdict}
              type="button"
              className={`live-toggle v-${verdict}`}
              aria-pressed={filter.verdicts.has(verdict)}
              onClick={() => toggle(verdict)}
            >
              <span aria-hidden="true">{VERDICT_WORDS[verdict].sign}</span> {VERDICT_WORDS[verdict].word}
            </button>
          ))}
        </fieldset>
        <label className="live-field">
          <span className="unseen">Direction</span>
          <select
            value={filter.direction}
            onChange={(event) => onChange({ ...filter, direction: event.target.value as Direction })}
          >
            <option value="">Both directions</option>
            <option value="egress">Egress</option>
            <option value="ingress">Ingress</option>
          </select>
        </label>
        {filter.policy && <span className="chip">by {filter.policy}</span>}
        <button type="button" className="plain" disabled={!busy} onClick={() => onChange(EVERYTHING)}>
          Clear
        </button>
      </div>
    </search>
  );
}

interface WordProps {
  label: string;
  value: string;
  list: readonly string[];
  hint: string;
  problem?: string;
  narrow?: boolean;
  onChange: (value: string) => void;
}

function Word({ label, value, list, hint, problem = "", narrow = false, onChange }: WordProps) {
  const id = useId();
  return (
    <div className={narrow ? "live-field short" : "live-field"}>
      <label className="unseen" htmlFor={id}>
        {label}
      </label>
      <input
        id={id}
        type="search"
        value={value}
        placeholder={label}
        title={hint}
        list={`${id}-list`}
        autoComplete="off"
        spellCheck={false}
        aria-invalid={problem !== ""}
        aria-describedby={problem ? `${id}-problem` : undefined}
        onChange={(event) => onChange(event.target.value)}
      />
      <Options id={`${id}-list`} list={list} />
      {problem && (
        <span id={`${id}-problem`} className="live-problem" role="alert">
          {problem}
        </span>
      )}
    </div>
  );
}

/** Hundreds of elements that typing need not touch. */
const Options = memo(function Options({ id, list }: { id: string; list: readonly string[] }) {
  return (
    <datalist id={id}>
      {list.slice(0, MOST_OPTIONS).map((each) => (
        <option key={each} value={each} />
      ))}
    </datalist>
  );
});
