/**
 * The built page with a made-up world behind it: `scripts/build_ui.py --demo OUT`, then from here in ui/
 * `node OUT/demo.js [--rate 500] [--small] [--port 7480]`.
 *
 * For looking and for measuring without a cluster; it says the same on every run. It binds to 127.0.0.1 and is no server for anybody
 * else: it checks nothing.
 */

import { readFile } from "node:fs/promises";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { extname, join, normalize } from "node:path";
import type { PolicyFile } from "../../api";
import type { WireFlow } from "../model/wire";
import { LARGE, SMALL, World } from "./world";

const STATIC = process.env["STATIC"] ?? join(process.cwd(), "..", "src", "namewall", "editor", "static");
const TYPES: Readonly<Record<string, string>> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript",
  ".css": "text/css",
  ".svg": "image/svg+xml",
};
/** As strict as the real server's. */
const CSP =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; worker-src 'self'; font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

function option(name: string, fallback: number): number {
  const at = process.argv.indexOf(`--${name}`);
  return at < 0 ? fallback : Number(process.argv[at + 1]);
}

const world = new World(process.argv.includes("--small") ? SMALL : LARGE);
const rate = option("rate", 500);
const port = option("port", 7480);

const server = createServer((request, response) => {
  answer(request, response).catch((error: unknown) => {
    response.writeHead(500).end(JSON.stringify({ error: String(error), path: null }));
  });
});
server.listen(port, "127.0.0.1", () => {
  const { port: taken } = server.address() as AddressInfo;
  console.log(`http://127.0.0.1:${taken}/#token=demo  (${rate} flows a second)`);
});

async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const path = new URL(request.url ?? "/", "http://demo").pathname;
  if (!path.startsWith("/api/")) return page(path, response);
  const body = JSON.parse((await text(request)) || "{}") as Record<string, unknown>;
  if (path === "/api/flows") return flows(body, response);
  response.writeHead(200, { "Content-Type": "application/json" }).end(JSON.stringify(say(path, body)));
}

function say(path: string, body: Record<string, unknown>): unknown {
  switch (path) {
    case "/api/session":
      return { version: "demo", live: true, files: [] };
    case "/api/live":
      return world.live();
    case "/api/schema":
      return {};
    case "/api/judge":
      return { objects: [], problems: [], findings: [], rating: null };
    case "/api/union":
      return union(body);
    case "/api/allow":
      return allow(body["flow"] as WireFlow);
    case "/api/what-if":
      return whatIf();
    case "/api/apply":
      return {
        results: (body["files"] as PolicyFile[]).map((file) => ({
          kind: "CiliumNetworkPolicy",
          namespace: "default",
          name: file.name.replace(/\.yaml$/, ""),
          operation: body["dryRun"] ? "configured (dry run)" : "configured",
          error: null,
        })),
      };
    default:
      return { error: `no ${path} here`, path: null };
  }
}

/** The policies whose text says the subject's label; no more is known here. */
function union(body: Record<string, unknown>): unknown {
  const subject = body["subject"] as { namespace: string; labels: Record<string, string> };
  const by = (body["files"] as PolicyFile[])
    .filter(
      (file) =>
        file.text.includes(`app: ${subject.labels["app"]}\n`) &&
        file.text.includes(`namespace: ${subject.namespace}\n`),
    )
    .map((file) => ({
      policy: /name: (\S+)/.exec(file.text)?.[1] ?? "",
      kind: "CiliumNetworkPolicy",
      namespace: subject.namespace,
      direction: "egress",
      rule: "spec.egress[0]",
      file: file.name,
      line: 1,
    }));
  return { ingress: { enforced: false, by: [] }, egress: { enforced: by.length > 0, by }, edges: [] };
}

function allow(flow: WireFlow): unknown {
  const policy = flow.namewall?.selected_by?.[0] ?? flow.namewall?.rules?.[0];
  const name = flow.destination_names?.[0];
  const old = world
    .live()
    .policies.find((each) => each.name === policy?.name && each.namespace === policy.namespace);
  const added = name
    ? `    - toFQDNs:\n        - matchName: ${name}`
    : `    - toEndpoints:\n        - matchLabels:\n            app: ${flow.destination?.workloads?.[0]?.name ?? "any"}`;
  const file = { name: `${policy?.name ?? "new"}.yaml`, text: `${old?.text ?? ""}${added}\n` };
  const before = (old?.text ?? "").trimEnd().split("\n").slice(-3);
  const diff = [
    `--- ${file.name}`,
    `+++ ${file.name}`,
    "@@ -24,3 +24,5 @@",
    ...before.map((line) => ` ${line}`),
    ...added.split("\n").map((line) => `+${line}`),
  ];
  return {
    allowed: true,
    changes: [],
    files: [file],
    versions: {},
    diff: `${diff.join("\n")}\n`,
    noPatch: null,
  };
}

function whatIf(): unknown {
  const changed = Array.from({ length: 14 }, (_, index) => world.flow(Date.now() - index * 4000));
  return {
    seen: 3412,
    changed: changed.map((flow, index) => ({
      flow,
      was: index % 5 ? "allow" : "deny",
      now: index % 5 ? "deny" : "allow",
      rules: [],
    })),
  };
}

/** History at once, then `rate` a second, in batches of a fiftieth of a second. */
function flows(body: Record<string, unknown>, response: ServerResponse): void {
  response.writeHead(200, { "Content-Type": "application/x-ndjson" });
  const history = body["after"] ? 0 : Math.min(Number(body["number"] ?? 0), 3000);
  response.write(
    world
      .lines(history, Date.now() - (history * 1000) / 500)
      .map((line) => `${line}\n`)
      .join(""),
  );
  let owed = 0;
  let last = Date.now();
  const timer = setInterval(() => {
    const now = Date.now();
    owed += ((now - last) * rate) / 1000;
    last = now;
    const lines: string[] = [];
    for (; owed >= 1; owed--) lines.push(`${world.line(now)}\n`);
    if (lines.length) response.write(lines.join(""));
  }, 20);
  response.on("close", () => clearInterval(timer));
}

async function page(path: string, response: ServerResponse): Promise<void> {
  const name = normalize(path === "/" ? "/index.html" : path);
  try {
    const content = await readFile(join(STATIC, name));
    response.writeHead(200, {
      "Content-Type": TYPES[extname(name)] ?? "application/octet-stream",
      "Content-Security-Policy": CSP,
    });
    response.end(content);
  } catch {
    response.writeHead(404).end();
  }
}

async function text(request: IncomingMessage): Promise<string> {
  const pieces: Buffer[] = [];
  for await (const piece of request) pieces.push(piece as Buffer);
  return Buffer.concat(pieces).toString("utf8");
}
