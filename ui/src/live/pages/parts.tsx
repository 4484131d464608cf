/** Pieces that the pages share. */

import type { ReactNode } from "react";
import { useMemo, useState } from "react";
import { address } from "../../shell/route";
import { FlowDetails } from "../flow-details";
import type { Row } from "../model/flow";
import { COLUMNS, COMPACT } from "../table/columns";
import { useMatches, useMedia } from "../use-live";

export function Section({ title, children, more }: { title: string; children: ReactNode; more?: ReactNode }) {
  return (
    <section className="live-section">
      <header>
        <h2>{title}</h2>
        {more}
      </header>
      {children}
    </section>
  );
}

/** What is wider than the window scrolls by itself, also by keys. */
export function Wide({ label, children }: { label: string; children: ReactNode }) {
  return (
    <section
      className="live-scroll-x"
      aria-label={label}
      // biome-ignore lint/a11y/noNoninteractiveTabindex: a region that scrolls takes keys
      tabIndex={0}
    >
      {children}
    </section>
  );
}

const SHOWN = 15;
const KEYS = ["time", "verdict", "source", "destination", "port", "why"];

/** The newest flows that pass `test`. `query` is the filter of the flow table that shows them all. */
export function RecentFlows({ test, query }: { test: (row: Row) => boolean; query: Record<string, string> }) {
  const { matches } = useMatches(test, 500);
  const [open, setOpen] = useState<Row | null>(null);
  const narrow = useMedia("(max-width: 760px)");
  const columns = useMemo(
    () => (narrow ? [COMPACT] : COLUMNS.filter((column) => KEYS.includes(column.key))),
    [narrow],
  );
  const { list } = matches;
  const rows: Row[] = [];
  for (let index = list.length - 1; index >= Math.max(0, list.length - SHOWN); index--) {
    const row = list.at(index);
    if (row) rows.push(row);
  }
  return (
    <Section
      title="Recent flows"
      more={
        list.length > 0 && (
          <a href={address("flows", [], query)}>All {list.length.toLocaleString("en")} in the table</a>
        )
      }
    >
      {rows.length === 0 ? (
        <p className="quiet">None seen yet.</p>
      ) : (
        <div className="live-split short">
          <Wide label="Recent flows">
            <table className="live-plain">
              <thead>
                <tr>
                  {columns.map((column) => (
                    <th key={column.key} scope="col">
                      {column.title}
                    </th>
                  ))}
                  <th scope="col">
                    <span className="unseen">Details</span>
                  </th>
                </tr>
              </thead>
              <tbody>
                {rows.map((row) => (
                  <tr key={row.seq} className={`v-${row.verdict}`}>
                    {columns.map((column) => (
                      <td key={column.key}>{column.cell(row)}</td>
                    ))}
                    <td>
                      <button type="button" className="icon plain" onClick={() => setOpen(row)}>
                        Details
                      </button>
                    </td>
                  </tr>
                ))}
              </tbody>
            </table>
          </Wide>
          {open && <FlowDetails row={open} onClose={() => setOpen(null)} />}
        </div>
      )}
    </Section>
  );
}

export function Loading({ error }: { error: string | null }) {
  return error ? (
    <p className="notice deny" role="alert">
      {error}
    </p>
  ) : (
    <p className="quiet">Loading …</p>
  );
}

/** `key=value`, one chip each. */
export function Labels({ labels }: { labels: Readonly<Record<string, string>> }) {
  return (
    <ul className="row live-labels">
      {Object.entries(labels).map(([key, value]) => (
        <li key={key} className="chip mono">
          {key}={value}
        </li>
      ))}
    </ul>
  );
}

/** Time that a name's grant is still good for; it says so in words and as a bar. */
export function TimeLeft({ seconds, words }: { seconds: number; words: string }) {
  return (
    <span className="live-left">
      <meter min={0} max={300} value={Math.min(300, seconds)} aria-hidden="true" /> {words}
    </span>
  );
}
