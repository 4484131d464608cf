/** The same graph as a list: edge by edge, for screen readers and for whoever would rather read. */

import { memo, useMemo, useState } from "react";
import { To } from "../links";
import { portText } from "../model/flow";
import type { Edge } from "../model/graph";
import { plural } from "../model/words";
import { CountChips } from "../verdict";
import type { Selection } from "./flow-map";
import type { MapState } from "./use-map";

const FIRST = 100;

export const MapList = memo(function MapList({
  map,
  find,
  onSelect,
}: {
  map: MapState;
  find: string;
  onSelect: (selection: Selection) => void;
}) {
  const [all, setAll] = useState(false);
  const { view, model } = map;
  const edges = useMemo(() => {
    const fits = (edge: Edge) =>
      !find || edge.source.search.includes(find) || edge.destination.search.includes(find);
    // `view` is new whenever the graph changed.
    return view ? [...model.graph.edges.values()].filter(fits).sort(byImportance) : [];
  }, [view, model, find]);
  const silent = useMemo(
    () =>
      view.frames
        .flatMap((frame) => frame.cards)
        .filter((card) => card.counts.forwarded + card.counts.audit + card.counts.dropped === 0),
    [view],
  );
  const choose = (party: string) => {
    const id = view.shown.get(party);
    if (id !== undefined) onSelect({ kind: "card", id });
  };
  return (
    <section className="map-list" aria-label="The map as a list">
      <h2>{plural(edges.length, "connection")}</h2>
      <ul>
        {edges.slice(0, all ? undefined : FIRST).map((edge) => (
          <li
            key={edge.key}
            className={edge.counts.dropped ? "v-dropped" : edge.counts.audit ? "v-audit" : "v-forwarded"}
          >
            <span className="map-list-ends">
              <button type="button" className="plain link" onClick={() => choose(edge.source.id)}>
                {edge.source.text}
              </button>
              <To />
              <button type="button" className="plain link" onClick={() => choose(edge.destination.id)}>
                {edge.destination.text}
              </button>
            </span>
            <span className="map-list-more">
              <span className="mono">{portText(edge)}</span> <CountChips counts={edge.counts} />
            </span>
          </li>
        ))}
      </ul>
      {edges.length > FIRST && !all && (
        <button type="button" onClick={() => setAll(true)}>
          Show all {edges.length}
        </button>
      )}
      {silent.length > 0 && !find && (
        <>
          <h3>Without flows ({silent.length})</h3>
          <ul className="row">
            {silent.slice(0, 60).map((card) => (
              <li key={card.id} className="chip">
                {card.title}
              </li>
            ))}
          </ul>
        </>
      )}
    </section>
  );
});

/** What was dropped first, then what would be, then by number. */
function byImportance(a: Edge, b: Edge): number {
  return (
    b.counts.dropped - a.counts.dropped ||
    b.counts.audit - a.counts.audit ||
    b.counts.forwarded - a.counts.forwarded ||
    (a.key < b.key ? -1 : 1)
  );
}
