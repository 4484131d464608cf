/** The canvas as a Mermaid flowchart, for pull requests and wikis. */
import { dnsTexts, LANE_TITLES, portTexts, subjectText } from "../canvas/words";
import { type Block, DIRECTIONS, type Drawing, LANES } from "../model/draw";
import { peerText } from "../model/peer";

export function mermaidOf(drawing: Drawing, block: Block): string {
  const selector = subjectText(block.subject?.selector ?? null, block.subject?.key ?? "");
  const lines = ["flowchart LR", `  subject(["${label(`${drawing.name}<br>${selector}`)}"])`];
  const links: string[] = [];
  let number = 0;
  for (const direction of DIRECTIONS) {
    for (const lane of LANES) {
      const cards = block.cards.filter((card) => card.rule.direction === direction && card.lane === lane);
      if (cards.length === 0) continue;
      lines.push(
        `  subgraph ${direction}_${lane} ["${label(`${direction}: ${LANE_TITLES[lane].toLowerCase()}`)}"]`,
      );
      for (const card of cards) {
        const id = `n${number++}`;
        lines.push(
          `    ${id}["${label(card.peers.map(({ peer }) => peerText(peer)).join("<br>") || "kept as it is")}"]`,
        );
        const dns = dnsTexts(card.rule);
        const asked = dns === null ? "" : `, DNS ${dns.join(" ")}`;
        const ports = portTexts(card.rule, drawing.kind).join(", ") || "all ports";
        const text = `"${label(`${card.rule.action}: ${ports}${asked}`)}"`;
        const arrow = card.rule.action === "allow" ? `-->|${text}|` : `-. ${text} .-x`;
        links.push(direction === "ingress" ? `  ${id} ${arrow} subject` : `  subject ${arrow} ${id}`);
      }
      lines.push("  end");
    }
    if (block.defaultDeny[direction].on) lines.push(`  %% ${direction}: denied by default`);
  }
  return `${[...lines, ...links].join("\n")}\n`;
}

/** Text inside quotes of Mermaid; `<br>` of ours stays a line break. */
function label(text: string): string {
  return text
    .split("<br>")
    .map((part) =>
      part.replace(/[&<>"#;`*_|[\]{}()\\]/g, (one) => `#${one.charCodeAt(0)};`).replace(/\s+/g, " "),
    )
    .join("<br>");
}
