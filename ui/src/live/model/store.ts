/**
 * The newest flows, at most `limit`; what is added and what is forgotten is told once a batch, never once a flow.
 *
 * Invariant: `seq` of the rows is without gaps, `first` is that of the oldest row kept.
 */

import type { Lost, Row } from "./flow";
import { parseLine } from "./flow";
import { RowList } from "./list";
import { Parties } from "./party";

export const LIMIT = 20_000;

export interface Change {
  readonly added: readonly Row[];
  readonly evicted: readonly Row[];
}

export class FlowStore {
  readonly rows = new RowList();
  /** Events that the agent could not tell, by its word for why. */
  readonly lost = new Map<string, number>();
  total = 0;
  broken = 0;
  lastUuid = "";
  private next = 1;
  private readonly parties = new Parties();

  constructor(readonly limit = LIMIT) {}

  get first(): number {
    return this.rows.at(0)?.seq ?? this.next;
  }

  /** Lines of the stream, in order. Of more than `limit` at once only the newest are kept. */
  addLines(lines: readonly string[]): Change {
    const added: Row[] = [];
    for (const line of lines) {
      if (!line) continue;
      const parsed = parseLine(line, this.next, this.parties);
      if (parsed === null) this.broken++;
      else if ("lost" in parsed) this.addLost(parsed.lost);
      else {
        this.next++;
        added.push(parsed.row);
      }
    }
    return this.add(added);
  }

  private add(added: readonly Row[]): Change {
    for (const row of added) this.rows.push(row);
    this.total += added.length;
    this.lastUuid = added.at(-1)?.uuid ?? this.lastUuid;
    const evicted = this.rows.length > this.limit ? this.rows.dropBefore(this.next - this.limit) : [];
    return { added, evicted };
  }

  private addLost(lost: Lost): void {
    this.lost.set(lost.source, (this.lost.get(lost.source) ?? 0) + lost.count);
  }
}
