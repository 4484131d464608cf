/** The rows that a filter lets through, kept as rows come and go: only new rows are looked at, all of them when it changes. */

import type { Filter } from "./filter";
import { compileFilter } from "./filter";
import type { Row } from "./flow";
import { RowList } from "./list";
import type { Change, FlowStore } from "./store";

export class Matches {
  list = new RowList();
  private test: (row: Row) => boolean;

  constructor(
    readonly store: FlowStore,
    filter: Filter,
  ) {
    this.test = compileFilter(filter);
    this.fill();
  }

  setFilter(filter: Filter): void {
    this.test = compileFilter(filter);
    this.fill();
  }

  apply(change: Change): Change {
    const added = change.added.filter(this.test);
    for (const row of added) this.list.push(row);
    return { added, evicted: this.list.dropBefore(this.store.first) };
  }

  private fill(): void {
    this.list = new RowList();
    for (const row of this.store.rows) if (this.test(row)) this.list.push(row);
  }
}
