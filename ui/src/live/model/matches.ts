/** The rows that a test lets through, kept as rows come and go: only new rows are looked at. */

import type { Row } from "./flow";
import { RowList } from "./list";
import type { Change, FlowStore } from "./store";

export class Matches {
  list = new RowList();

  constructor(
    readonly store: FlowStore,
    private readonly test: (row: Row) => boolean,
  ) {
    this.fill();
  }

  /** All that the store has, looked at again. */
  fill(): void {
    this.list = new RowList();
    for (const row of this.store.rows) if (this.test(row)) this.list.push(row);
  }

  apply(change: Change): Change {
    const added = change.added.filter(this.test);
    for (const row of added) this.list.push(row);
    return { added, evicted: this.list.dropBefore(this.store.first) };
  }
}
