/**
 * Who spoke to whom at which port, counted: the graph of the rows that are kept.
 *
 * Law: adding and removing rows in any order gives the graph of the rows that remain.
 */

import type { Row, Verdict } from "./flow";
import type { Party } from "./party";

export type Counts = Readonly<Record<Verdict, number>>;

export interface Edge {
  readonly key: string;
  readonly source: Party;
  readonly destination: Party;
  readonly port: number;
  readonly protocol: string;
  readonly counts: Record<Verdict, number>;
  /** Rows, not flows: an edge goes with its last row. */
  rows: number;
  /** When the newest flow happened, milliseconds. */
  last: number;
}

export function edgeKey(row: Row): string {
  return `${row.source.id}>${row.destination.id}:${row.port}/${row.protocol}`;
}

export class FlowGraph {
  readonly edges = new Map<string, Edge>();

  constructor(rows: Iterable<Row> = []) {
    this.add(rows);
  }

  add(rows: Iterable<Row>): void {
    for (const row of rows) {
      const key = edgeKey(row);
      let edge = this.edges.get(key);
      if (!edge) {
        const { source, destination, port, protocol } = row;
        edge = {
          key,
          source,
          destination,
          port,
          protocol,
          counts: { forwarded: 0, audit: 0, dropped: 0 },
          rows: 0,
          last: 0,
        };
        this.edges.set(key, edge);
      }
      edge.rows++;
      edge.counts[row.verdict] += row.times;
      edge.last = Math.max(edge.last, row.time);
    }
  }

  remove(rows: Iterable<Row>): void {
    for (const row of rows) {
      const key = edgeKey(row);
      const edge = this.edges.get(key);
      if (!edge) continue;
      edge.rows--;
      edge.counts[row.verdict] -= row.times;
      if (edge.rows <= 0) this.edges.delete(key);
    }
  }

  parties(): Map<string, Party> {
    const found = new Map<string, Party>();
    for (const edge of this.edges.values()) {
      found.set(edge.source.id, edge.source);
      found.set(edge.destination.id, edge.destination);
    }
    return found;
  }
}
