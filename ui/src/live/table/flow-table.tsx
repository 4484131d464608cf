/**
 * Flows, the newest first, with virtual scrolling: a real table of the rows in sight between two empty ones.
 *
 * Whoever scrolls down reads, so the table stands still then; what came meanwhile is counted in a button that goes back to the top.
 */

import { type KeyboardEvent, useCallback, useEffect, useId, useLayoutEffect, useRef, useState } from "react";
import type { Row } from "../model/flow";
import type { Matches } from "../model/matches";
import { rowsInSight, scrollTo } from "../model/window";
import { plural } from "../model/words";
import type { Column } from "./columns";

interface Props {
  matches: Matches;
  version: number;
  columns: readonly Column[];
  rowHeight: number;
  paused: boolean;
  selected: Row | null;
  onSelect: (row: Row) => void;
  onOpen: (row: Row) => void;
}

const HEAD = 34;

export function FlowTable({
  matches,
  version,
  columns,
  rowHeight,
  paused,
  selected,
  onSelect,
  onOpen,
}: Props) {
  const id = useId();
  const box = useRef<HTMLDivElement>(null);
  const [scroll, setScroll] = useState(0);
  const [height, setHeight] = useState(600);
  const [frozen, setFrozen] = useState<number | null>(null);

  const { list } = matches;
  const newest = list.newest()?.seq ?? 0;
  const still = paused || scroll > 0;
  useEffect(() => setFrozen(still ? (matches.list.newest()?.seq ?? 0) : null), [still, matches]);
  const count = frozen === null ? list.length : list.countUntil(frozen);
  const waiting = list.length - count;

  useLayoutEffect(() => {
    const element = box.current;
    if (element === null) return;
    const watcher = new ResizeObserver(() => setHeight(element.clientHeight));
    watcher.observe(element);
    return () => watcher.disconnect();
  }, []);

  const at = (index: number): Row | undefined => list.at(count - 1 - index);
  const { first, end } = rowsInSight(scroll, height - HEAD, rowHeight, count);
  const rows: Row[] = [];
  for (let index = first; index < end; index++) {
    const row = at(index);
    if (row) rows.push(row);
  }

  const toTop = useCallback(() => {
    if (box.current) box.current.scrollTop = 0;
    setFrozen(null);
  }, []);

  // Who opens a flow reads.
  const open = useCallback(
    (row: Row) => {
      setFrozen((before) => before ?? matches.list.newest()?.seq ?? 0);
      onOpen(row);
    },
    [matches, onOpen],
  );

  const move = (event: KeyboardEvent) => {
    const page = Math.max(1, Math.floor((height - HEAD) / rowHeight) - 1);
    const now = selected ? count - list.countUntil(selected.seq) : -1;
    const steps: Record<string, number> = {
      ArrowDown: now + 1,
      ArrowUp: now - 1,
      PageDown: now + page,
      PageUp: now - page,
      Home: 0,
      End: count - 1,
    };
    if (event.key === "Enter" && selected) {
      event.preventDefault();
      open(selected);
      return;
    }
    const wanted = steps[event.key];
    if (wanted === undefined || count === 0) return;
    event.preventDefault();
    const index = Math.min(count - 1, Math.max(0, wanted));
    const row = at(index);
    const element = box.current;
    if (!row || !element) return;
    if (frozen === null) setFrozen(newest);
    onSelect(row);
    element.scrollTop = scrollTo(index, element.scrollTop, height - HEAD, rowHeight);
  };

  return (
    <div className="live-table-box">
      <section
        ref={box}
        className="live-table-scroll"
        // biome-ignore lint/a11y/noNoninteractiveTabindex: a region that scrolls takes keys
        tabIndex={0}
        aria-label="Flows, newest first"
        aria-describedby={`${id}-help`}
        onScroll={(event) => setScroll(event.currentTarget.scrollTop)}
        onKeyDown={move}
      >
        <table className="live-table" aria-rowcount={count + 1} data-version={version}>
          <colgroup>
            {columns.map((column) => (
              <col key={column.key} style={{ width: column.width }} />
            ))}
          </colgroup>
          <thead>
            <tr aria-rowindex={1} style={{ height: HEAD }}>
              {columns.map((column) => (
                <th key={column.key} scope="col">
                  {column.title}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            <Gap height={first * rowHeight} columns={columns.length} />
            {rows.map((row, index) => (
              <FlowRow
                key={row.seq}
                row={row}
                index={first + index}
                columns={columns}
                height={rowHeight}
                selected={row === selected}
                onOpen={open}
              />
            ))}
            <Gap height={Math.max(0, count - end) * rowHeight} columns={columns.length} />
          </tbody>
        </table>
        {count === 0 && <p className="quiet padded">No flow passes the filter, or none was seen yet.</p>}
      </section>
      {waiting > 0 && (
        <div className="live-newer">
          {paused ? (
            `Paused · ${plural(waiting, "newer flow")}`
          ) : (
            <button type="button" className="main" onClick={toTop}>
              ↑ {plural(waiting, "newer flow")}
            </button>
          )}
        </div>
      )}
      <p id={`${id}-help`} className="unseen">
        Arrow keys choose a flow, Enter opens it.
      </p>
    </div>
  );
}

function Gap({ height, columns }: { height: number; columns: number }) {
  if (height <= 0) return null;
  return (
    // biome-ignore lint/a11y/noAriaHiddenOnFocusable: it is empty and takes no focus
    <tr aria-hidden="true" className="live-gap">
      <td colSpan={columns} style={{ height }} />
    </tr>
  );
}

interface RowProps {
  row: Row;
  index: number;
  columns: readonly Column[];
  height: number;
  selected: boolean;
  onOpen: (row: Row) => void;
}

function FlowRow({ row, index, columns, height, selected, onOpen }: RowProps) {
  return (
    <tr
      aria-rowindex={index + 2}
      className={`v-${row.verdict}${selected ? " selected" : ""}`}
      aria-current={selected ? "true" : undefined}
      style={{ height }}
      onClick={() => onOpen(row)}
    >
      {columns.map((column) => {
        const cell = column.cell(row);
        return (
          <td key={column.key} title={typeof cell === "string" ? cell : undefined}>
            {cell}
          </td>
        );
      })}
    </tr>
  );
}
