/** The columns of the flow table, in their order; the choice is kept in this browser. */

import type { ReactNode } from "react";
import type { Row } from "../model/flow";
import { portText, reasonWords } from "../model/flow";
import { clock } from "../model/words";
import { VerdictChip } from "../verdict";

export interface Column {
  readonly key: string;
  readonly title: string;
  /** CSS width. */
  readonly width: string;
  readonly first: boolean;
  readonly cell: (row: Row) => ReactNode;
}

export const COLUMNS: readonly Column[] = [
  {
    key: "time",
    title: "Time",
    width: "126px",
    first: true,
    cell: (row) => <span className="mono">{clock(row.time)}</span>,
  },
  {
    key: "verdict",
    title: "Verdict",
    width: "122px",
    first: true,
    cell: (row) => <VerdictChip verdict={row.verdict} />,
  },
  { key: "source", title: "Source", width: "22%", first: true, cell: (row) => row.source.text },
  {
    key: "sourceAddress",
    title: "Source address",
    width: "150px",
    first: false,
    cell: (row) => <span className="mono">{row.sourceAddress}</span>,
  },
  {
    key: "destination",
    title: "Destination",
    width: "26%",
    first: true,
    cell: (row) => row.destination.text,
  },
  {
    key: "destinationAddress",
    title: "Destination address",
    width: "150px",
    first: false,
    cell: (row) => <span className="mono">{row.destinationAddress}</span>,
  },
  {
    key: "port",
    title: "Port",
    width: "92px",
    first: true,
    cell: (row) => <span className="mono">{portText(row)}</span>,
  },
  { key: "direction", title: "Direction", width: "96px", first: true, cell: (row) => row.direction },
  { key: "policy", title: "Policy", width: "20%", first: true, cell: (row) => row.policies.join(", ") },
  { key: "why", title: "What and why", width: "24%", first: true, cell: whatAndWhy },
  { key: "kind", title: "Type", width: "150px", first: false, cell: (row) => row.kind },
  { key: "times", title: "Times", width: "64px", first: false, cell: (row) => row.times },
];

function whatAndWhy(row: Row): string {
  const asked = row.query ? `asked for ${row.query}` : row.summary;
  return row.reason ? `${reasonWords(row.reason)} · ${asked}` : asked;
}

/** All of a flow in two lines, for narrow windows. */
export const COMPACT: Column = {
  key: "flow",
  title: "Flow",
  width: "100%",
  first: true,
  cell: (row) => (
    <span className="live-two">
      <span className="live-two-top">
        <VerdictChip verdict={row.verdict} />
        <span className="mono">{portText(row)}</span>
        <span className="mono quiet">{clock(row.time).slice(0, 8)}</span>
      </span>
      <span className="live-two-ends">
        {row.source.text} → {row.query ? `${row.destination.name}: ${row.query}` : row.destination.text}
      </span>
    </span>
  ),
};

const KEY = "namewall.flow-columns";

export function keptColumns(): ReadonlySet<string> {
  try {
    const kept = JSON.parse(localStorage.getItem(KEY) ?? "null") as unknown;
    if (Array.isArray(kept)) return new Set(kept.filter((each) => typeof each === "string"));
  } catch {
    // Not ours, or forbidden: the usual columns.
  }
  return new Set(COLUMNS.filter((column) => column.first).map((column) => column.key));
}

export function keepColumns(shown: ReadonlySet<string>): void {
  try {
    localStorage.setItem(KEY, JSON.stringify([...shown]));
  } catch {
    // A comfort, not a promise.
  }
}
