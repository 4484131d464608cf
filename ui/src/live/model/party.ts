/**
 * One end of a flow as the map draws it: a workload, a Service, a name, an entity or an address.
 *
 * Pods of one workload are one party, and so are the addresses of one name: people ask what backend reaches, not what
 * backend-sqfqg9tj6-cb8r5 sent to 203.0.113.36. Parties of the same `id` are the same party.
 */

import { registeredDomain } from "./domain";
import type { WireEnd, WireService } from "./wire";

export type PartyKind = "workload" | "service" | "name" | "entity" | "address";

export interface Party {
  readonly id: string;
  readonly kind: PartyKind;
  readonly namespace: string;
  readonly name: string;
  /** `namespace/name` where there is a namespace. */
  readonly text: string;
  /** The frame that it stands in: `ns/default`, `domain/example.com`, `addresses`, `entities`. */
  readonly group: string;
  /** `text` in lower case, for filters. */
  readonly search: string;
}

/** Cilium's reserved identities; the worlds (2, 9, 10) are told by address. */
const ENTITIES: Readonly<Record<number, string>> = {
  1: "host",
  3: "unmanaged",
  4: "health",
  5: "init",
  6: "remote-node",
  7: "kube-apiserver",
  8: "ingress",
};

function party(kind: PartyKind, namespace: string, name: string, group: string): Party {
  const text = namespace ? `${namespace}/${name}` : name;
  return { id: `${kind}/${text}`, kind, namespace, name, text, group, search: text.toLowerCase() };
}

export function workloadParty(namespace: string, name: string): Party {
  return party("workload", namespace, name, `ns/${namespace}`);
}

export function nameParty(name: string): Party {
  const plain = name.toLowerCase().replace(/\.$/, "");
  return party("name", "", plain, `domain/${registeredDomain(plain)}`);
}

/** In the order of `namewall observe`: the pod, the Service, the name, and only then numbers. */
export function partyOf(
  end: WireEnd | undefined,
  service: WireService | undefined,
  names: readonly string[] | undefined,
  address: string,
): Party {
  if (end?.pod_name) return workloadParty(end.namespace ?? "", end.workloads?.[0]?.name ?? end.pod_name);
  if (service) {
    const namespace = service.namespace ?? "";
    return party("service", namespace, `svc/${service.name}`, `ns/${namespace}`); // often named as the workload behind it
  }
  const name = names?.[0];
  if (name) return nameParty(name);
  const entity = ENTITIES[end?.identity ?? 0];
  if (entity) return party("entity", "", entity, "entities");
  return party("address", "", address || "unknown", "addresses");
}

/** The workload of a pod: as told, else its name without the parts that Deployments and StatefulSets put behind it. */
export function workloadOf(endpoint: {
  readonly name: string;
  readonly workload?: { readonly name: string } | null;
}): string {
  const told = endpoint.workload?.name;
  if (told) return told;
  return endpoint.name.replace(/-[a-z0-9]{8,10}-[a-z0-9]{4,5}$/, "").replace(/-\d+$/, "");
}

export function groupTitle(group: string): string {
  if (group === "addresses") return "Addresses";
  if (group === "entities") return "Nodes and hosts";
  return group.slice(group.indexOf("/") + 1) || "no namespace";
}

/** Remembers parties, so that 20,000 rows share a few hundred. Forgets all when a flood makes too many. */
export class Parties {
  private readonly known = new Map<string, Party>();

  constructor(private readonly limit = 50_000) {}

  shared(found: Party): Party {
    const old = this.known.get(found.id);
    if (old) return old;
    if (this.known.size >= this.limit) this.known.clear();
    this.known.set(found.id, found);
    return found;
  }
}
