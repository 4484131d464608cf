/**
 * The map's data between flows and picture: counts as flows come, and a memory of who was there.
 *
 * What was once drawn stays, also when its flows are no longer kept, so that nothing vanishes under the pointer; only a flood of
 * parties makes it forget those that are silent.
 */

import type { Row } from "./flow";
import { FlowGraph } from "./graph";
import { Matches } from "./matches";
import type { Party } from "./party";
import type { Change, FlowStore } from "./store";
import type { Openness, View } from "./view";
import { groupSizes, linkId, openByDefault, viewOf } from "./view";

const MOST_PARTIES = 1500;
const MOST_PAIRS = 6000;
const SMALL = { workloads: 25, nodes: 25 };

export class MapModel {
  readonly matches: Matches;
  graph: FlowGraph;
  private parties = new Map<string, Party>();
  /** Who ever spoke to whom: what the layout goes by, so that it does not move when an edge goes. */
  private pairs = new Map<string, readonly [string, string]>();
  private auto: Openness = new Map();

  constructor(store: FlowStore, test: (row: Row) => boolean) {
    this.matches = new Matches(store, test);
    this.graph = new FlowGraph(this.matches.list);
  }

  /** Flows that came before anybody listened. */
  fill(): void {
    this.matches.fill();
    this.graph = new FlowGraph(this.matches.list);
  }

  apply(change: Change): Change {
    const passed = this.matches.apply(change);
    this.graph.add(passed.added);
    this.graph.remove(passed.evicted);
    return passed;
  }

  /** `idle` are drawn though they do nothing; `chosen` are frames that somebody opened or closed; `small` is a small window. */
  view(idle: readonly Party[], chosen: Openness, small = false): View {
    this.remember(idle);
    const parties = [...this.parties.values()];
    const sizes = groupSizes(parties);
    this.auto = openByDefault(sizes, this.auto, small ? SMALL : undefined);
    return viewOf(parties, this.graph.edges.values(), new Map([...this.auto, ...chosen]));
  }

  /** Pairs of cards, for the layout. */
  cardPairs(view: View): (readonly [string, string])[] {
    const found: (readonly [string, string])[] = [];
    for (const [from, to] of this.pairs.values()) {
      const source = view.shown.get(from);
      const target = view.shown.get(to);
      if (source !== undefined && target !== undefined && source !== target) found.push([source, target]);
    }
    return found;
  }

  private remember(idle: readonly Party[]): void {
    const present = this.graph.parties();
    for (const party of idle) present.set(party.id, party);
    if (this.parties.size + present.size > MOST_PARTIES) this.parties = new Map();
    for (const [id, party] of present) if (!this.parties.has(id)) this.parties.set(id, party);
    if (this.pairs.size > MOST_PAIRS) this.pairs = new Map();
    for (const { source, destination } of this.graph.edges.values()) {
      const key = `${source.id}>${destination.id}`;
      if (!this.pairs.has(key)) this.pairs.set(key, [source.id, destination.id]);
    }
  }
}

/** The link on which a flow is drawn; undefined where both ends are in one card. */
export function linkOf(row: Row, view: View): string | undefined {
  const source = view.shown.get(row.source.id);
  const target = view.shown.get(row.destination.id);
  if (source === undefined || target === undefined || source === target) return undefined;
  return linkId(`${source}>${target}`, row.verdict);
}
