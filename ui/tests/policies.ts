/** The policies that the tests run over: all valid ones of the shared conformance data, written in several styles. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { stringify } from "yaml";
import type { JsonObject } from "../src/model/value";

/** Beside the checkout, as scripts and Python tests have it; $NAMEWALL_SHARED is another place. */
const SHARED = process.env["NAMEWALL_SHARED"] ?? join(import.meta.dirname, "../../../shared");
const FOLDER = join(SHARED, "conformance");

export const MISSING = existsSync(FOLDER) ? null : `no conformance data at ${FOLDER}`;

export function validPolicies(): JsonObject[] {
  if (MISSING !== null) return [];
  const found: JsonObject[] = [];
  for (const row of rows("verdicts.jsonl")) {
    const results = row["policy_results"] as { accepted: boolean }[];
    const policies = row["policies"] as JsonObject[];
    found.push(...policies.filter((_, at) => results[at]?.accepted));
  }
  for (const row of rows("validation.jsonl")) if (row["accepted"]) found.push(row["policy"] as JsonObject);
  return found;
}

function rows(file: string): JsonObject[] {
  const text = readFileSync(join(FOLDER, file), "utf8");
  return text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as JsonObject);
}

/** Ways in which people lay out the same policy. */
export const STYLES: Record<string, (policy: JsonObject) => string> = {
  "lists indented": (policy) => stringify(policy),
  "lists at their key, as kubectl writes": (policy) => stringify(policy, { indentSeq: false }),
  "four columns": (policy) => `---\n${stringify(policy, { indent: 4 })}`,
  "flow inside": (policy) => {
    const { spec, specs, ...head } = policy;
    const body = (value: unknown) => stringify(value, { collectionStyle: "flow", lineWidth: 0 }).trimEnd();
    const lines = [stringify(head).trimEnd()];
    if (spec !== undefined) lines.push(`spec: ${body(spec)}`);
    if (specs !== undefined) lines.push(`specs: ${body(specs)}`);
    return `${lines.join("\n")}\n`;
  },
  "JSON, which is YAML": (policy) => `${JSON.stringify(policy, null, 2)}\n`,
  "comments everywhere": (policy) =>
    stringify(policy)
      .split("\n")
      .map((line, at) => (line === "" || line.endsWith("|-") ? line : `${line} # c${at}`))
      .join("\n"),
  "line ends of Windows": (policy) => stringify(policy).replaceAll("\n", "\r\n"),
};

export const SEED = `---
kind: CiliumNetworkPolicy
apiVersion: cilium.io/v2
metadata:
  name: backend-egress-allow-fqdn
spec:
  endpointSelector:
    matchLabels:
      app: backend
  egress:
    - toEndpoints:
        - matchLabels:
            "k8s:io.kubernetes.pod.namespace": kube-system
            "k8s:k8s-app": kube-dns
      toPorts:
        - ports:
            - port: "53"
              protocol: ANY
          rules:
            dns:
              - matchPattern: "*"
    - toFQDNs:
        - matchName: kubernetes.io
`;
