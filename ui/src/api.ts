/**
 * The server's API, as docs/editor-api.md has it: types of what goes over, and one function a request.
 *
 * The page has no meaning of its own: what a policy does is always asked here. Errors are ApiError.
 * A new request of a kind may cancel the one before through its AbortSignal.
 */
import { token } from "./shell/token";

export interface PolicyFile {
  name: string;
  text: string;
}

export type Direction = "ingress" | "egress";
export type Action = "allow" | "deny";
export type Lane = "outside" | "namespace" | "cluster";

/** A rule of a policy: `rule` is its path, as `spec.egress[1]`; `line` begins with 1. */
export interface Rule {
  policy: string;
  kind: string;
  namespace: string | null;
  direction: Direction | null;
  rule: string;
  file: string | null;
  line: number | null;
}

/** A workload, real or made up. */
export interface Subject {
  namespace: string;
  labels: Record<string, string>;
  name?: string;
}

export type Party = { subject: Subject } | { name: string } | { address: string } | { entity: string };

export interface JudgedObject {
  file: string;
  index: number;
  line: number;
  lastLine: number;
  kind: string;
  namespace: string | null;
  name: string | null;
  accepted: boolean;
  enforceable: boolean;
  audit: boolean;
  error: string | null;
}

/** What the server can put right: the files as they are afterwards. */
export interface Fix {
  label: string;
  files: PolicyFile[];
}

/** Something said of an object, by its number in the file. In long files `fix` is null though `fixable` has a label: ask. */
export interface Remark {
  file: string;
  path: string | null;
  object: number | null;
  message: string;
  rule?: string;
  fix: Fix | null;
  fixable: string | null;
}

export interface Problem extends Remark {
  line: number;
  column: number | null;
  /** A warning where the policy is begun and has no rules yet. */
  severity: "error" | "warning";
  source: "yaml" | "cilium" | "kubernetes" | "agent";
}

export interface Finding extends Remark {
  line: number | null;
  rule: string;
  severity: string;
  hint: string | null;
  policy: string | null;
  kind: string | null;
  namespace: string | null;
}

export interface Rating {
  score: number;
  word: "open" | "weak" | "fair" | "good" | "strong";
  reasons: { points: number; text: string; file: string | null; line: number | null }[];
}

export interface Judgement {
  objects: JudgedObject[];
  problems: Problem[];
  findings: Finding[];
  /** How many more there are that are not listed. */
  left?: { problems: number; findings: number };
  rating: Rating | null;
}

export interface Step {
  step: string;
  direction: Direction | null;
  text: string;
  rules: Rule[];
}

export interface Nearest {
  policy: string;
  kind: string;
  namespace: string | null;
  direction: Direction;
  rule: string;
  file: string | null;
  line: number | null;
  field: string;
  want: unknown;
  got: string | null;
}

export interface Explanation {
  query: string;
  egress: Action | null;
  ingress: Action | null;
  l7dns: "allow" | "deny" | "none" | "redirect" | null;
  verdict: Action;
  reason: string;
  rules: Rule[];
  steps: Step[];
  nearest: Nearest | null;
  patch: { changes: { policy: string; path: string; value: unknown }[]; policies: unknown[] } | null;
  noPatch: string | null;
  text: string;
  test: string;
  patchFiles: PolicyFile[] | null;
}

export interface Question {
  from: Party;
  to: Party;
  port: number;
  protocol: string;
  question?: string;
}

export interface UnionEdge {
  id: string;
  direction: Direction;
  lane: Lane;
  action: Action;
  peer: { kind: string; text: string; namespace?: string | null };
  ports: string[];
  dns: string[] | null;
  rules: Rule[];
  overruledBy: Rule[];
  audit: boolean;
  /** What its rules say that no edge shows: HTTP rules and the like. */
  kept: { path: string; what: string; rule: Rule }[];
}

export interface Union {
  ingress: { enforced: boolean; by: Rule[] };
  egress: { enforced: boolean; by: Rule[] };
  edges: UnionEdge[];
}

export interface Conversion {
  text: string;
  lost: { path: string; message: string }[];
}

export interface Session {
  version: string;
  live: boolean;
  files: PolicyFile[];
}

export type JsonSchema = {
  type?: string;
  description?: string;
  properties?: Record<string, JsonSchema>;
  additionalProperties?: JsonSchema | boolean;
  items?: JsonSchema;
  enum?: unknown[];
  required?: string[];
  default?: unknown;
};

export interface LiveEndpoint {
  namespace: string;
  name: string;
  labels: Record<string, string>;
  addresses: string[];
  identity: number | null;
  workload?: { kind: string; name: string } | null;
  /** Null where the agent does not tell. */
  ingressEnforced: boolean | null;
  egressEnforced: boolean | null;
}

export interface LiveName {
  namespace: string;
  pod: string;
  name: string;
  addresses: string[];
  secondsLeft: number;
}

export interface LiveService {
  namespace: string;
  name: string;
  addresses: string[];
  ports: unknown[];
}

export interface LivePolicy {
  kind: string;
  namespace: string | null;
  name: string;
  text: string;
  audit: boolean;
  /** What `apply` takes as the version that was edited. */
  resourceVersion?: string | null;
}

export interface LiveState {
  server: unknown;
  /** Why there are no names. */
  problem?: string | null;
  endpoints: LiveEndpoint[];
  names: LiveName[];
  services: LiveService[];
  namespaces: unknown[];
  policies: LivePolicy[];
}

export interface Allowance {
  allowed: boolean;
  changes: unknown[];
  files: PolicyFile[];
  /** What `apply` takes as the versions that were edited. */
  versions: Record<string, string>;
  diff: string;
  noPatch: string | null;
}

export interface WhatIf {
  seen: number;
  changed: { flow: unknown; was: string; now: string; rules: Rule[] }[];
}

export interface Applied {
  results: {
    kind: string;
    namespace: string | null;
    name: string;
    operation: string;
    error: string | null;
  }[];
}

/** What the server says is wrong with a request: a sentence, and the field it is about. */
export class ApiError extends Error {
  constructor(
    message: string,
    /** HTTP status; 0 where no server answered. */
    readonly status: number,
    readonly path: string | null = null,
  ) {
    super(message);
    this.name = "ApiError";
  }
}

/** An abort is not an error that anyone needs to hear of. */
export function isAbort(error: unknown): boolean {
  return error instanceof DOMException && error.name === "AbortError";
}

async function send(path: string, body: unknown, signal?: AbortSignal): Promise<Response> {
  const headers: Record<string, string> = {};
  const bearer = token();
  if (bearer !== null) headers.Authorization = `Bearer ${bearer}`;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  let answer: Response;
  try {
    answer = await fetch(path, {
      method: body === undefined ? "GET" : "POST",
      headers,
      body: body === undefined ? null : JSON.stringify(body),
      signal: signal ?? null,
      credentials: "omit",
      cache: "no-store",
    });
  } catch (error) {
    if (isAbort(error)) throw error;
    throw new ApiError("the server does not answer: is `namewall up` or `namewall editor` running?", 0);
  }
  if (answer.ok) return answer;
  let message = `the server answered ${answer.status}`;
  let field: string | null = null;
  try {
    const said = (await answer.json()) as { error?: string; path?: string | null };
    if (said.error) message = said.error;
    field = said.path ?? null;
  } catch {
    // no JSON: the status has to do
  }
  if (answer.status === 413) message = "the open files are more than 4 MB together: close some of them";
  throw new ApiError(message, answer.status, field);
}

async function ask<T>(path: string, body?: unknown, signal?: AbortSignal): Promise<T> {
  return (await (await send(path, body, signal)).json()) as T;
}

/** The JSON lines of a stream, each as it comes, until it ends or `signal` aborts. */
async function* lines(path: string, body: unknown, signal?: AbortSignal): AsyncGenerator<unknown> {
  const answer = await send(path, body, signal);
  if (answer.body === null) return;
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) break;
      rest += value;
      const whole = rest.split("\n");
      rest = whole.pop() ?? "";
      for (const line of whole) if (line.trim()) yield JSON.parse(line);
    }
    if (rest.trim()) yield JSON.parse(rest);
  } finally {
    reader.cancel().catch(() => undefined);
  }
}

export const api = {
  judge: (files: readonly PolicyFile[], signal?: AbortSignal) =>
    ask<Judgement>("/api/judge", { files }, signal),
  fix: async (files: readonly PolicyFile[], { rule, file, object, path, fix }: Remark) =>
    fix ?? (await ask<Fix>("/api/fix", { files, rule, file, object, path })),
  explain: (files: readonly PolicyFile[], question: Question, signal?: AbortSignal) =>
    ask<Explanation>("/api/explain", { files, ...question }, signal),
  union: (files: readonly PolicyFile[], subject: Subject, signal?: AbortSignal) =>
    ask<Union>("/api/union", { files, subject }, signal),
  diff: (before: readonly PolicyFile[], after: readonly PolicyFile[], signal?: AbortSignal) =>
    ask<unknown>("/api/diff", { old: before, new: after }, signal),
  convert: (file: PolicyFile, object: number, to: string, signal?: AbortSignal) =>
    ask<Conversion>("/api/convert", { file, object, to }, signal),
  schema: (signal?: AbortSignal) => ask<Record<string, JsonSchema>>("/api/schema", undefined, signal),
  session: (signal?: AbortSignal) => ask<Session>("/api/session", undefined, signal),

  live: (signal?: AbortSignal) => ask<LiveState>("/api/live", undefined, signal),
  flows: (request: unknown, signal?: AbortSignal) => lines("/api/flows", request, signal),
  allow: (flow: unknown, signal?: AbortSignal) => ask<Allowance>("/api/allow", { flow }, signal),
  whatIf: (files: readonly PolicyFile[], signal?: AbortSignal) =>
    ask<WhatIf>("/api/what-if", { files }, signal),
  /** `versions`: the resourceVersions that were edited, by `KIND/NAMESPACE/NAME`; 409 where another is stored. */
  apply: (files: readonly PolicyFile[], dryRun: boolean, versions: Record<string, string> = {}) =>
    ask<Applied>("/api/apply", { files, dryRun, versions }),
};
