/**
 * The registered domain of a name, for grouping on the map: `a.b.example.co.uk` → `example.co.uk`.
 *
 * A rule of thumb instead of the public suffix list (230 kB): what it gets wrong puts a card into another frame, no more.
 */

const SECOND_LEVEL = new Set([
  "ac",
  "co",
  "com",
  "edu",
  "go",
  "gob",
  "gov",
  "mil",
  "ne",
  "net",
  "nom",
  "or",
  "org",
]);

export function registeredDomain(name: string): string {
  const labels = name.toLowerCase().replace(/\.$/, "").split(".");
  const country = (labels.at(-1) ?? "").length === 2;
  const suffix = country && SECOND_LEVEL.has(labels.at(-2) ?? "") ? 2 : 1;
  return labels.slice(-(suffix + 1)).join(".");
}
