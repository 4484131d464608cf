/** The flow table: `namewall observe` to look at. */

import { type KeyboardEvent, useCallback, useDeferredValue, useMemo, useState } from "react";
import { useSession } from "../shell/session";
import { Filters } from "./filters";
import { FlowDetails } from "./flow-details";
import "./live.css";
import { compileFilter } from "./model/filter";
import type { Row } from "./model/flow";
import { plural } from "./model/words";
import { NotLive, StatusStrip } from "./status-strip";
import { COLUMNS, COMPACT, keepColumns, keptColumns } from "./table/columns";
import { FlowTable } from "./table/flow-table";
import { useFilter } from "./use-filter";
import { useMatches, useMedia } from "./use-live";

export default function FlowsView() {
  const { live } = useSession();
  return live ? <Flows /> : <NotLive />;
}

function Flows() {
  const [filter, setFilter] = useFilter("flows");
  const wanted = useDeferredValue(filter); // typing does not wait for the rows
  const test = useMemo(() => compileFilter(wanted), [wanted]);
  const { matches, version } = useMatches(test, 100);
  const [shown, setShown] = useState(keptColumns);
  const [paused, setPaused] = useState(false);
  const [selected, setSelected] = useState<Row | null>(null);
  const [open, setOpen] = useState(false);
  const narrow = useMedia("(max-width: 760px)");
  const columns = useMemo(
    () => (narrow ? [COMPACT] : COLUMNS.filter((column) => shown.has(column.key))),
    [narrow, shown],
  );
  const openRow = useCallback((row: Row) => {
    setSelected(row);
    setOpen(true);
  }, []);
  const close = () => {
    setOpen(false);
    document.querySelector<HTMLElement>(".live-table-scroll")?.focus();
  };
  const choose = (next: ReadonlySet<string>) => {
    setShown(next);
    keepColumns(next);
  };
  return (
    <div className="live-fill">
      <h1 className="unseen">Flows</h1>
      <div className="live-bar">
        <Filters filter={filter} onChange={setFilter} />
        <div className="live-bar-end">
          <span className="quiet">{plural(matches.list.length, "flow")}</span>
          <button type="button" aria-pressed={paused} onClick={() => setPaused(!paused)}>
            Pause
          </button>
          {!narrow && <ColumnChoice shown={shown} onChange={choose} />}
          <StatusStrip />
        </div>
      </div>
      <div className="live-split">
        <FlowTable
          matches={matches}
          version={version}
          columns={columns}
          rowHeight={narrow ? 58 : 32}
          paused={paused}
          selected={selected}
          onSelect={setSelected}
          onOpen={openRow}
        />
        {open && selected && <FlowDetails row={selected} onClose={close} />}
      </div>
    </div>
  );
}

function ColumnChoice({
  shown,
  onChange,
}: {
  shown: ReadonlySet<string>;
  onChange: (next: ReadonlySet<string>) => void;
}) {
  const leave = (event: KeyboardEvent<HTMLDetailsElement>) => {
    if (event.key !== "Escape") return;
    event.currentTarget.open = false;
    event.currentTarget.querySelector("summary")?.focus();
  };
  return (
    <details className="live-menu" onKeyDown={leave}>
      <summary className="button">Columns</summary>
      <fieldset className="live-menu-body">
        <legend className="unseen">Columns</legend>
        {COLUMNS.map((column) => (
          <label key={column.key}>
            <input
              type="checkbox"
              checked={shown.has(column.key)}
              disabled={shown.size === 1 && shown.has(column.key)}
              onChange={(event) => {
                const next = new Set(shown);
                if (event.target.checked) next.add(column.key);
                else next.delete(column.key);
                onChange(next);
              }}
            />{" "}
            {column.title}
          </label>
        ))}
      </fieldset>
    </details>
  );
}
