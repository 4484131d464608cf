/**
 * The picture of one policy: the endpoint in the middle, ingress left, egress right, lanes by where a peer is.
 *
 * Real buttons and lists, so that it is read and worked without eyes or mouse; the lines between are decoration.
 * Keys while the focus is in it: arrows go from card to card, Enter edits, Delete removes, `i` and `e` add.
 */
import { type KeyboardEvent, memo, useEffect, useRef, useState } from "react";
import type { Direction, Lane } from "../api";
import type { Act } from "../model/change";
import { type Block, type Card, type Drawing, type DrawnPeer, LANES } from "../model/draw";
import { removeCard, removePeer, switchDefaultDeny } from "../model/edits";
import { peerText } from "../model/peer";
import type { Path } from "../model/value";
import { useLatest } from "../shell/latest";
import { KeptList } from "./kept-list";
import { Links } from "./links";
import { PeerCard } from "./peer-card";
import { RuleDialog, type RuleTarget } from "./rule-dialog";
import { SubjectCard } from "./subject-card";
import { directionTitle, LANE_TITLES } from "./words";
import "../styles/canvas.css";

export interface CanvasProps {
  drawing: Drawing;
  block: Block;
  /** The text cannot be read now: what is shown is the last that could, and is not edited. */
  stale: boolean;
  /** Make the changes in one step of the history; false if they cannot be made (said to the reader). */
  act: Act;
  show: (path: Path) => void;
}

/** What gets the focus once the next drawing is there. */
type Wish = { peer: string; direction: Direction } | { nth: number; direction: Direction };

export const Canvas = memo(function Canvas({ drawing, block, stale, act, show }: CanvasProps) {
  const root = useRef<HTMLDivElement>(null);
  const [target, setTarget] = useState<RuleTarget | null>(null);
  const wish = useRef<{ wanted: Wish; before: Drawing } | null>(null);

  // The drawing comes a moment after the edit that it is of.
  useEffect(() => {
    const due = wish.current;
    if (due === null || due.before === drawing || root.current === null || target !== null) return;
    wish.current = null;
    focusWish(root.current, due.wanted);
  }, [drawing, target]);

  const remove = useLatest((card: Card, one: DrawnPeer | null) => {
    const at = mains(root.current).findIndex((button) => button.dataset.card === card.id);
    wish.current = { wanted: { nth: Math.max(0, at), direction: card.rule.direction }, before: drawing };
    const what = one === null ? card.peers.map(({ peer }) => peerText(peer)).join(", ") : peerText(one.peer);
    act(
      [(now, here) => (one === null ? removeCard(now, here, card) : removePeer(now, here, card.rule, one))],
      `remove ${what}`,
    );
  });

  const edit = useLatest((card: Card, peer: DrawnPeer) => setTarget({ mode: "edit", card, peer }));

  const keys = (event: KeyboardEvent) => {
    const from = event.target as HTMLElement;
    if (
      stale ||
      event.ctrlKey ||
      event.metaKey ||
      event.altKey ||
      from.closest("dialog, input, select, textarea")
    )
      return;
    const all = mains(root.current);
    const at = all.findIndex((button) => button === from || button.closest("li.card")?.contains(from));
    const step = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 }[event.key];
    if (step !== undefined && all.length > 0) {
      event.preventDefault();
      all[(at + step + all.length) % all.length]?.focus();
    } else if ((event.key === "Delete" || event.key === "Backspace") && at >= 0) {
      event.preventDefault();
      const id = all[at]?.dataset.card;
      const card = block.cards.find((one) => one.id === id);
      const peer = card?.peers.find((one) => peerText(one.peer) === all[at]?.dataset.peer);
      if (card !== undefined) remove(card, card.peers.length > 1 ? (peer ?? null) : null);
    } else if (event.key === "i" || event.key === "e") {
      event.preventDefault();
      setTarget({ mode: "add", direction: event.key === "i" ? "ingress" : "egress", lane: "outside" });
    }
  };

  const side = {
    drawing,
    block,
    stale,
    act,
    show,
    onEdit: edit,
    onRemove: remove,
  };
  const adding = (direction: Direction) => (lane: Lane) => setTarget({ mode: "add", direction, lane });
  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: keys of the buttons inside bubble to here
    <div className={`canvas${stale ? " stale" : ""}`} ref={root} onKeyDown={keys} data-testid="canvas">
      <Links of={block} />
      <Side direction="ingress" onAdd={adding("ingress")} {...side} />
      <SubjectCard drawing={drawing} block={block} stale={stale} act={act} show={show} />
      <Side direction="egress" onAdd={adding("egress")} {...side} />
      <KeptList kept={[...block.kept, ...drawing.kept]} show={show} />
      {target !== null && (
        <RuleDialog
          drawing={drawing}
          target={target}
          act={act}
          onDone={(done) => {
            if (done !== null) wish.current = { wanted: done, before: drawing };
            setTarget(null);
          }}
        />
      )}
    </div>
  );
});

interface SideProps extends CanvasProps {
  direction: Direction;
  onAdd: (lane: Lane) => void;
  onEdit: (card: Card, peer: DrawnPeer) => void;
  onRemove: (card: Card, peer: DrawnPeer | null) => void;
}

function Side({ direction, drawing, block, stale, act, show, onAdd, onEdit, onRemove }: SideProps) {
  const title = directionTitle(direction);
  const cards = block.cards.filter((card) => card.rule.direction === direction);
  const lanes =
    drawing.kind === "CiliumClusterwideNetworkPolicy" ? LANES.filter((one) => one !== "namespace") : LANES;
  return (
    <section className={`side ${direction}`} aria-label={title}>
      <div className="side-head">
        <h2>{title}</h2>
        <DenySwitch direction={direction} drawing={drawing} block={block} stale={stale} act={act} />
      </div>
      {lanes.map((lane) => {
        const here = cards.filter((card) => card.lane === lane);
        return (
          <section
            key={lane}
            className={`lane ${lane}`}
            aria-label={`${title}: ${LANE_TITLES[lane].toLowerCase()}`}
          >
            <h3>{LANE_TITLES[lane]}</h3>
            {here.length > 0 && (
              <ul className="cards">
                {here.map((card) => (
                  <PeerCard
                    key={card.id}
                    card={card}
                    kind={drawing.kind}
                    stale={stale}
                    show={show}
                    onEdit={onEdit}
                    onRemove={onRemove}
                  />
                ))}
              </ul>
            )}
            <button
              type="button"
              className="plain add"
              disabled={stale}
              aria-label={`Add ${direction} ${LANE_TITLES[lane].toLowerCase()}`}
              onClick={() => onAdd(lane)}
            >
              + Add
            </button>
          </section>
        );
      })}
    </section>
  );
}

function DenySwitch({
  direction,
  drawing,
  block,
  stale,
  act,
}: Omit<CanvasProps, "show"> & { direction: Direction }) {
  const { on, locked } = block.defaultDeny[direction];
  const turn = () =>
    act(
      [(now, here) => switchDefaultDeny(now, here, direction, !on)],
      `${on ? "no default deny" : "default deny"} for ${direction}`,
    );
  return (
    <label className="deny-switch" title={locked ?? undefined}>
      <input
        type="checkbox"
        role="switch"
        checked={on}
        disabled={stale || locked !== null}
        onChange={turn}
        aria-label={`Default deny for ${direction}`}
      />
      <span aria-hidden="true">{on ? "denied by default" : "all allowed by default"}</span>
      {locked !== null && <span className="unseen">{locked}</span>}
      <span className="unseen">{drawing.name}</span>
    </label>
  );
}

/** The buttons that stand for the peers, in the order of the page. */
function mains(root: HTMLElement | null): HTMLElement[] {
  return root === null ? [] : [...root.querySelectorAll<HTMLElement>("button.card-main")];
}

function focusWish(root: HTMLElement, wish: Wish): void {
  const all = mains(root);
  if ("nth" in wish) {
    const next =
      all[Math.min(wish.nth, all.length - 1)] ??
      root.querySelector<HTMLElement>(`.side.${wish.direction} button.add`);
    next?.focus();
    return;
  }
  const made = all.filter(
    (button) => button.dataset.peer === wish.peer && button.dataset.direction === wish.direction,
  );
  made.at(-1)?.focus();
}
