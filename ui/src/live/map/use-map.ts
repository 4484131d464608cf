/** The map's state: flows in, view and places out. Counts are drawn twice a second, places when they are known. */

import { useCallback, useEffect, useMemo, useRef, useState } from "react";
import { connection } from "../connection";
import { isBackground } from "../model/background";
import type { Curve } from "../model/curve";
import { curveBetween } from "../model/curve";
import type { Filter } from "../model/filter";
import { compileFilter, isEverything } from "../model/filter";
import type { Placed } from "../model/layout";
import { Layouts } from "../model/layout";
import { linkOf, MapModel } from "../model/mapModel";
import { workloadParty } from "../model/party";
import { Pulses } from "../model/pulses";
import type { View } from "../model/view";
import { Pace } from "../pace";
import { useLive } from "../use-live";
import { runElk } from "./elk";

/** Milliseconds between two pictures; many cards are counted again less often. */
const PAUSE = 500;
const LONG_PAUSE = 1000;
const MANY = 60;
/** A batch of more is history, not something that happens now. */
const HISTORY = 400;

export interface MapState {
  readonly model: MapModel;
  readonly view: View;
  /** Null until the first layout. */
  readonly placed: Placed | null;
  readonly curves: ReadonlyMap<string, Curve>;
  readonly pulses: Pulses;
  readonly problem: string;
  readonly toggle: (group: string) => void;
  readonly openAll: (open: boolean) => void;
}

/** `background`: whether that is drawn too (model/background.ts). `aspect` is width by height of the window. */
export function useMap(filter: Filter, background: boolean, aspect: number): MapState {
  const live = useLive();
  const model = useMemo(() => {
    const test = compileFilter(filter);
    return new MapModel(connection.store, (row) => (background || !isBackground(row)) && test(row));
  }, [filter, background]);
  const [version, setVersion] = useState(0);
  const [chosen, setChosen] = useState<ReadonlyMap<string, boolean>>(new Map());
  const pulses = useMemo(() => new Pulses(), []);
  const idle = useMemo(
    () =>
      isEverything(filter) ? live.workloads.map((each) => workloadParty(each.namespace, each.name)) : [],
    [filter, live.workloads],
  );

  // biome-ignore lint/correctness/useExhaustiveDependencies: the graph is changed in place, `version` says when
  const view = useMemo(() => model.view(idle, chosen, aspect < 1), [model, idle, chosen, aspect, version]);
  const latest = useRef(view);
  latest.current = view;

  useEffect(() => {
    const draw = () => setVersion((before) => before + 1);
    const pace = new Pace(draw);
    model.fill();
    draw();
    const leave = connection.subscribe((change) => {
      const { added, evicted } = model.apply(change);
      if (added.length <= HISTORY) {
        const now = performance.now();
        for (const row of added) {
          const link = linkOf(row, latest.current);
          if (link !== undefined) pulses.add(link, row.verdict, row.times, now);
        }
      }
      if (added.length || evicted.length) pace.need(latest.current.shown.size > MANY ? LONG_PAUSE : PAUSE);
    });
    return () => {
      leave();
      pace.end();
    };
  }, [model, pulses]);

  const { placed, problem } = usePlaces(model, view, aspect);
  const curves = useCurves(view, placed);
  const toggle = useCallback((group: string) => {
    const open = latest.current.frames.find((frame) => frame.id === group)?.open ?? false;
    setChosen((before) => new Map(before).set(group, !open));
  }, []);
  const openAll = useCallback(
    (open: boolean) => setChosen(new Map(latest.current.frames.map((frame) => [frame.id, open]))),
    [],
  );
  return useMemo(
    () => ({ model, view, placed, curves, pulses, problem, toggle, openAll }),
    [model, view, placed, curves, pulses, problem, toggle, openAll],
  );
}

/**
 * Where everything stands; asked again only when something else than counts changed. One question at a time: the next waits for the
 * answer and then asks for what is there by then, so that a busy map is laid out too.
 */
function usePlaces(model: MapModel, view: View, aspect: number): { placed: Placed | null; problem: string } {
  const layouts = useMemo(() => new Layouts(runElk), []);
  const [placed, setPlaced] = useState<Placed | null>(null);
  const [problem, setProblem] = useState("");
  const pairs = model.cardPairs(view);
  const shape = `${aspect}${view.frames.map((frame) => `${frame.id}${frame.framed}${frame.cards.map((card) => card.id)}`)}${pairs.join("|")}`;
  const wanted = useRef({ shape, view, pairs, aspect });
  wanted.current = { shape, view, pairs, aspect };
  const asking = useRef(false);
  // biome-ignore lint/correctness/useExhaustiveDependencies: `shape` is all that places depend on
  useEffect(() => {
    if (asking.current) return;
    asking.current = true;
    const ask = async () => {
      for (let done = ""; done !== wanted.current.shape; ) {
        const now = wanted.current;
        setPlaced(await layouts.place(now.view, now.pairs, now.aspect));
        setProblem("");
        done = now.shape;
      }
    };
    ask()
      .catch((error: unknown) => setProblem(error instanceof Error ? error.message : String(error)))
      .finally(() => {
        asking.current = false;
      });
  }, [shape, layouts]);
  return { placed, problem };
}

/** Lines that did not change are the same objects. */
function useCurves(view: View, placed: Placed | null): ReadonlyMap<string, Curve> {
  const kept = useRef<{ placed: Placed | null; curves: Map<string, Curve> }>({
    placed: null,
    curves: new Map(),
  });
  return useMemo(() => {
    const before = kept.current.placed === placed ? kept.current.curves : new Map<string, Curve>();
    const curves = new Map<string, Curve>();
    for (const link of view.links) {
      const from = placed?.cards.get(link.source);
      const to = placed?.cards.get(link.target);
      if (!from || !to) continue;
      const lane = `${link.id} ${link.lane}`;
      const curve = before.get(lane) ?? curveBetween(from, to, link.lane);
      curves.set(link.id, curve);
      curves.set(lane, curve);
    }
    kept.current = { placed, curves };
    return curves;
  }, [view, placed]);
}
