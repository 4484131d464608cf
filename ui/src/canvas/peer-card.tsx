/** A rule's peers in one lane, with its ports and names: one card. */
import { memo } from "react";
import type { Card, DrawnPeer } from "../model/draw";
import type { Kind } from "../model/objects";
import { peerKindWord, peerText } from "../model/peer";
import { equal, type Path } from "../model/value";
import { KeptList } from "./kept-list";
import { cardText, dnsTexts, portTexts } from "./words";

interface Props {
  card: Card;
  kind: Kind;
  stale: boolean;
  show: (path: Path) => void;
  onEdit: (card: Card, peer: DrawnPeer) => void;
  onRemove: (card: Card, peer: DrawnPeer | null) => void;
}

export const PeerCard = memo(function PeerCard({ card, kind, stale, show, onEdit, onRemove }: Props) {
  const { rule, peers } = card;
  const ports = portTexts(rule, kind);
  const dns = dnsTexts(rule);
  const elsewhere = rule.peers.length - peers.length;
  return (
    <li
      className={`card ${rule.action}`}
      data-link={rule.direction}
      data-action={rule.action}
      aria-label={cardText(card, kind)}
    >
      <div className="card-head">
        <span className={`chip ${rule.action}`}>{rule.action === "allow" ? "✓ Allow" : "✕ Deny"}</span>
        <span className="quiet">{peers[0] === undefined ? "" : peerKindWord(peers[0].peer)}</span>
        <button
          type="button"
          className="plain mono link"
          onClick={() => show(rule.path)}
          aria-label={`${rule.label}: show in the YAML`}
        >
          {rule.label}
        </button>
      </div>
      <ul className="peers">
        {peers.map((one) => {
          const text = peerText(one.peer);
          const fixed = one.peer.kind === "kept";
          return (
            <li key={`${one.path.join(".")}`} className="peer">
              <button
                type="button"
                className="plain card-main"
                data-card={card.id}
                data-peer={text}
                data-direction={rule.direction}
                disabled={stale}
                aria-label={fixed ? `${text}: kept as it is, show in the YAML` : `Edit ${text}`}
                onClick={() => (fixed ? show(one.path) : onEdit(card, one))}
              >
                {text}
              </button>
              <button
                type="button"
                className="plain icon"
                disabled={stale}
                aria-label={`Remove ${text}`}
                onClick={() => onRemove(card, one)}
              >
                ✕
              </button>
            </li>
          );
        })}
      </ul>
      <ul className="chips" aria-label="Ports">
        {ports.length === 0 ? (
          <li className="chip">all ports</li>
        ) : (
          ports.map((text, at) => (
            // biome-ignore lint/suspicious/noArrayIndexKey: ports may be there twice, and have no state
            <li className="chip" key={at}>
              {text}
            </li>
          ))
        )}
      </ul>
      {dns !== null && (
        <ul className="chips" aria-label="Names that may be asked">
          <li className="quiet" aria-hidden="true">
            DNS
          </li>
          {dns.map((name, at) => (
            // biome-ignore lint/suspicious/noArrayIndexKey: as above
            <li className="chip dns" key={at}>
              {name === "*" ? "* (any name)" : name}
            </li>
          ))}
        </ul>
      )}
      {elsewhere > 0 && (
        <p className="hint">This rule has {elsewhere} more in other lanes, on the same ports.</p>
      )}
      <KeptList kept={rule.kept} show={show} />
    </li>
  );
}, sameCard);

/** The functions stay the same (useLatest); a card that says the same is not drawn again. */
function sameCard(before: Props, after: Props): boolean {
  return before.stale === after.stale && before.kind === after.kind && equal(before.card, after.card);
}
