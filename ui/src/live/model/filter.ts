/**
 * Which flows are shown. All fields must hold; of a field's words one, and none of those behind `!`.
 *
 * A word is part of a text (`back` finds default/backend); `*` is any run of characters, and then the word is the whole text.
 */

import type { Direction, Row, Verdict } from "./flow";
import { VERDICTS } from "./flow";

export interface Filter {
  /** Of a workload, Service, entity or address at either end. */
  readonly workload: string;
  /** Of a name at either end, or asked for. */
  readonly name: string;
  /** `443`, `443 80`, `8000-8999`, `53/UDP`. */
  readonly port: string;
  readonly verdicts: ReadonlySet<Verdict>;
  readonly direction: Direction;
  /** `namespace/name` of a policy that decided: its page sets it. */
  readonly policy: string;
}

export const EVERYTHING: Filter = {
  workload: "",
  name: "",
  port: "",
  verdicts: new Set(VERDICTS),
  direction: "",
  policy: "",
};

export function isEverything(filter: Filter): boolean {
  return (
    !filter.workload.trim() &&
    !filter.name.trim() &&
    !filter.port.trim() &&
    !filter.direction &&
    !filter.policy &&
    filter.verdicts.size === VERDICTS.length
  );
}

type Test<T> = (value: T) => boolean;

export function compileFilter(filter: Filter): Test<Row> {
  const tests: Test<Row>[] = [];
  const workload = textTest(filter.workload);
  if (workload) {
    tests.push((row) =>
      workload([
        row.source.kind === "name" ? "" : row.source.search,
        row.destination.kind === "name" ? "" : row.destination.search,
      ]),
    );
  }
  const name = textTest(filter.name);
  if (name) {
    tests.push((row) =>
      name([
        row.source.kind === "name" ? row.source.search : "",
        row.destination.kind === "name" ? row.destination.search : "",
        row.query,
      ]),
    );
  }
  const port = portTest(filter.port);
  if (port) tests.push(port);
  if (filter.verdicts.size < VERDICTS.length) tests.push((row) => filter.verdicts.has(row.verdict));
  if (filter.direction) tests.push((row) => row.direction === filter.direction);
  if (filter.policy) tests.push((row) => row.policies.includes(filter.policy));
  return (row) => tests.every((test) => test(row));
}

function words(text: string): { wanted: string[]; unwanted: string[] } {
  const all = text
    .toLowerCase()
    .split(/[\s,]+/)
    .filter((word) => word && word !== "!");
  return {
    wanted: all.filter((word) => !word.startsWith("!")),
    unwanted: all.filter((word) => word.startsWith("!")).map((word) => word.slice(1)),
  };
}

function textTest(text: string): Test<readonly string[]> | null {
  const { wanted, unwanted } = words(text);
  if (!wanted.length && !unwanted.length) return null;
  const good = wanted.map(wordTest);
  const bad = unwanted.map(wordTest);
  return (values) => {
    const said = values.filter(Boolean);
    return (
      (!good.length || said.some((value) => good.some((test) => test(value)))) &&
      !said.some((value) => bad.some((test) => test(value)))
    );
  };
}

function wordTest(word: string): Test<string> {
  if (!word.includes("*")) return (value) => value.includes(word);
  const pieces = word.split("*");
  return (value) => globMatches(pieces, value);
}

/** Star patterns without a regular expression, so that no pattern can take long. */
function globMatches(pieces: readonly string[], value: string): boolean {
  const head = pieces[0] ?? "";
  const tail = pieces.at(-1) ?? "";
  if (!value.startsWith(head) || !value.endsWith(tail) || value.length < head.length + tail.length)
    return false;
  let at = head.length;
  for (const piece of pieces.slice(1, -1)) {
    const found = value.indexOf(piece, at);
    if (found < 0) return false;
    at = found + piece.length;
  }
  return at <= value.length - tail.length;
}

const PORT = /^(\d{1,5})(?:-(\d{1,5}))?(?:\/([a-z0-9]+))?$/;

/** What in a port filter is no port: told beside the field, and as long as it stands nothing is filtered by it. */
export function portProblem(text: string): string {
  const { wanted, unwanted } = words(text);
  const wrong = [...wanted, ...unwanted].find((word) => !PORT.test(word) && !/^[a-z][a-z0-9]*$/.test(word));
  return wrong ? `\`${wrong}\` is no port; write 443, 8000-8999 or 53/UDP` : "";
}

function portTest(text: string): Test<Row> | null {
  if (portProblem(text)) return null;
  const { wanted, unwanted } = words(text);
  if (!wanted.length && !unwanted.length) return null;
  const good = wanted.map(onePort);
  const bad = unwanted.map(onePort);
  return (row) => (!good.length || good.some((test) => test(row))) && !bad.some((test) => test(row));
}

function onePort(word: string): Test<Row> {
  const found = PORT.exec(word);
  if (!found) return (row) => row.protocol.toLowerCase() === word;
  const low = Number(found[1]);
  const high = Number(found[2] ?? found[1]);
  const protocol = found[3];
  return (row) =>
    row.port >= low && row.port <= high && (!protocol || row.protocol.toLowerCase() === protocol);
}

/** A filter as the query of the page's address, so that it can be kept and sent. */
export function queryOf(filter: Filter): Record<string, string> {
  const found: Record<string, string> = {};
  for (const key of ["workload", "name", "port", "direction", "policy"] as const) {
    if (filter[key].trim()) found[key] = filter[key].trim();
  }
  if (filter.verdicts.size < VERDICTS.length) found["verdict"] = [...filter.verdicts].join(",");
  return found;
}

export function filterOf(query: URLSearchParams): Filter {
  const direction = query.get("direction");
  const asked = query.get("verdict")?.split(",");
  return {
    workload: query.get("workload") ?? "",
    name: query.get("name") ?? "",
    port: query.get("port") ?? "",
    policy: query.get("policy") ?? "",
    direction: direction === "ingress" || direction === "egress" ? direction : "",
    verdicts: new Set(VERDICTS.filter((verdict) => asked === undefined || asked.includes(verdict))),
  };
}
