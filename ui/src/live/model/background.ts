/**
 * What goes on all the time and says nothing of who may speak to whom: DNS questions that passed, and neighbours of a link that look for
 * each other. The map leaves it out until asked; a question that was refused is news.
 */

import type { Row } from "./flow";

export function isBackground(row: Row): boolean {
  if (isLinkLocal(row.sourceAddress) || isLinkLocal(row.destinationAddress)) return true;
  return row.verdict === "forwarded" && (row.port === 53 || row.kind.startsWith("dns-"));
}

/** fe80::/10 and multicast of IPv6; 169.254.0.0/16 is not: cloud metadata lives there. */
function isLinkLocal(address: string): boolean {
  return /^(fe[89ab]|ff)[0-9a-f]{0,2}:/i.test(address);
}
