/** What is there to choose from: workloads, names and addresses, from what the server knows and what flows told. */

import type { LiveEndpoint, LiveState } from "../../api";
import { workloadOf } from "./party";

export interface Workload {
  readonly namespace: string;
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly addresses: readonly string[];
  readonly pods: readonly LiveEndpoint[];
}

export interface Choices {
  readonly namespaces: readonly string[];
  readonly workloads: readonly Workload[];
  readonly names: readonly string[];
  readonly addresses: readonly string[];
}

export function workloadsOf(endpoints: readonly LiveEndpoint[]): Workload[] {
  const found = new Map<string, { namespace: string; name: string; pods: LiveEndpoint[] }>();
  for (const endpoint of endpoints) {
    const name = workloadOf(endpoint);
    const key = `${endpoint.namespace}/${name}`;
    const known = found.get(key);
    if (known) known.pods.push(endpoint);
    else found.set(key, { namespace: endpoint.namespace, name, pods: [endpoint] });
  }
  return [...found.entries()]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([, { namespace, name, pods }]) => ({
      namespace,
      name,
      labels: commonLabels(pods),
      addresses: pods.flatMap((pod) => pod.addresses),
      pods,
    }));
}

/** Labels that all pods of a workload have: those that are safe to select it by. */
function commonLabels(pods: readonly LiveEndpoint[]): Record<string, string> {
  const [first, ...rest] = pods;
  return Object.fromEntries(
    Object.entries(first?.labels ?? {}).filter(([key, value]) =>
      rest.every((pod) => pod.labels[key] === value),
    ),
  );
}

/** `seen` are names and addresses of flows. */
export function choicesOf(
  state: LiveState | null,
  seen: { names: Iterable<string>; addresses: Iterable<string> },
): Choices {
  const workloads = workloadsOf(state?.endpoints ?? []);
  const names = new Set([...(state?.names ?? []).map((each) => each.name.replace(/\.$/, "")), ...seen.names]);
  const addresses = new Set([...(state?.names ?? []).flatMap((each) => each.addresses), ...seen.addresses]);
  const namespaces = new Set([
    ...(state?.namespaces ?? []).map(namespaceName),
    ...workloads.map((each) => each.namespace),
  ]);
  namespaces.delete("");
  return {
    namespaces: [...namespaces].sort(),
    workloads,
    names: [...names].sort(),
    addresses: [...addresses].sort(),
  };
}

/** A namespace is told as its name, or as an object that has one. */
function namespaceName(told: unknown): string {
  if (typeof told === "string") return told;
  const name = told !== null && typeof told === "object" ? (told as { name?: unknown }).name : "";
  return typeof name === "string" ? name : "";
}
