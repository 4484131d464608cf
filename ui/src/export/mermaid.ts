/** The canvas as a Mermaid flowchart, for pull requests and wikis. */
import { dnsTexts, LANE_TITLES, portTexts, subjectText } from "../canvas/words";
import { type Block, DIRECTIONS, type Drawing, LANES } from "../model/draw";
import { peerText } from "../model/peer";

export function mermaidOf(drawing: Drawing, block: Block): string {
  const selector = subjectText(block.subject?.selector ?? null, block.subject?.key ?? "");
  const lines = ["flowchart LR", `  subject(["${label(drawing.name, selector)}"])`];
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
        const peers = card.peers.map(({ peer }) => peerText(peer));
        if (peers.length === 0) peers.push("kept as it is");
        lines.push(`    ${id}["${label(...peers)}"]`);
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

/**
 * Lines inside quotes of Mermaid. Entities stand for what it would read as its own (`#`, quotes, brackets) and for what its
 * Markdown would: marks, and what makes a link of `www.example.com`, a list of `1. one` or a formula of `$$`.
 */
function label(...lines: string[]): string {
  return lines
    .map((line) =>
      line
        .replace(/[\s\p{Cc}]+/gu, " ")
        .replace(
          /[&<>"#;`*_|[\]{}()\\~$@]|(?<=\bwww)\.|:(?=\/\/)|(?<=^ ?\d+)\.(?= |$)|^ ?[-+=](?=[-+= ]|$)/gi,
          entities,
        ),
    )
    .join("\n");
}

function entities(text: string): string {
  return [...text].map((one) => (one === " " ? one : `#${one.charCodeAt(0)};`)).join("");
}
