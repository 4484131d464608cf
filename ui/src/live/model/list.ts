/**
 * Rows in the order of arrival that are added at one end and forgotten at the other, both in constant time.
 *
 * `seq` rises from row to row, so "forget what the store forgot" is one number for every list of matches.
 */

import type { Row } from "./flow";

export class RowList {
  private rows: Row[] = [];
  private start = 0;

  get length(): number {
    return this.rows.length - this.start;
  }

  /** 0 is the oldest. */
  at(index: number): Row | undefined {
    return index < 0 ? undefined : this.rows[this.start + index];
  }

  newest(): Row | undefined {
    return this.rows[this.rows.length - 1];
  }

  push(row: Row): void {
    this.rows.push(row);
  }

  /** The rows below `seq`, which are no longer in the list. */
  dropBefore(seq: number): Row[] {
    const from = this.start;
    while (this.start < this.rows.length && (this.rows[this.start] as Row).seq < seq) this.start++;
    const gone = this.rows.slice(from, this.start);
    if (this.start > 4096 && this.start * 2 > this.rows.length) {
      this.rows = this.rows.slice(this.start);
      this.start = 0;
    }
    return gone;
  }

  /** How many rows are not younger than `seq`: the end of what a frozen table shows. */
  countUntil(seq: number): number {
    let low = this.start;
    let high = this.rows.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.rows[middle] as Row).seq <= seq) low = middle + 1;
      else high = middle;
    }
    return low - this.start;
  }

  *[Symbol.iterator](): Iterator<Row> {
    for (let index = this.start; index < this.rows.length; index++) yield this.rows[index] as Row;
  }
}
