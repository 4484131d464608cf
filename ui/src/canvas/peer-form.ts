/** The fields of the rule dialog as texts, and the peers they say: a value, or a sentence per field. */
import type { Action, Direction, Lane } from "../api";
import type { Kind } from "../model/objects";
import { ENTITIES, nameItem, type Peer, type PodsForm, podsForm, podsPeer } from "../model/peer";
import { readSelector, selectorText } from "../model/selector";

export type FormKind = "name" | "cidr" | "entity" | "pods" | "service" | "services" | "any";

export interface PeerForm {
  kind: FormKind;
  names: string;
  cidrs: string;
  except: string;
  entity: string;
  labels: string;
  where: PodsForm["where"];
  namespace: string;
  service: string;
  serviceNamespace: string;
}

export type FieldErrors = Partial<Record<keyof PeerForm | "ports" | "dns", string>>;

export const FORM_TITLES: Record<FormKind, string> = {
  name: "DNS name",
  cidr: "Addresses (CIDR)",
  entity: "Entity",
  pods: "Pods",
  service: "Service",
  services: "Services by label",
  any: "Anyone",
};

export const ENTITY_WORDS: Record<string, string> = {
  world: "everything outside the cluster",
  cluster: "everything in the cluster",
  host: "the node itself",
  "remote-node": "the other nodes",
  "kube-apiserver": "the Kubernetes API server",
  ingress: "the ingress proxy",
  health: "health checks",
  init: "workloads not ready yet",
  unmanaged: "pods without policy",
  all: "everyone",
  none: "nobody",
};

/** What a rule of this kind may name as its peer. */
export function formKinds(kind: Kind, direction: Direction, action: Action): FormKind[] {
  if (kind === "NetworkPolicy") return ["cidr", "pods", "any"];
  const kinds: FormKind[] = ["cidr", "entity", "pods", "any"];
  if (direction === "ingress") return kinds;
  return action === "deny" ? [...kinds, "service", "services"] : ["name", ...kinds, "service", "services"];
}

/** What an empty form begins with, by the lane whose button opened it. */
export function emptyForm(kind: Kind, direction: Direction, lane: Lane): PeerForm {
  const names = kind !== "NetworkPolicy" && direction === "egress";
  return {
    kind: lane === "outside" ? (names ? "name" : "cidr") : "pods",
    names: "",
    cidrs: "",
    except: "",
    entity: lane === "cluster" ? "cluster" : "world",
    labels: "",
    where: lane === "cluster" ? "every" : "here",
    namespace: "",
    service: "",
    serviceNamespace: "",
  };
}

export function formOf(peer: Peer, form: PeerForm): PeerForm {
  switch (peer.kind) {
    case "name":
      return { ...form, kind: "name", names: peer.value };
    case "cidr":
      return { ...form, kind: "cidr", cidrs: peer.cidr, except: (peer.except ?? []).join(", ") };
    case "entity":
      return { ...form, kind: "entity", entity: peer.entity };
    case "pods":
      return { ...form, kind: "pods", ...podsForm(peer) };
    case "service":
      return { ...form, kind: "service", service: peer.name, serviceNamespace: peer.namespace ?? "" };
    case "services":
      return {
        ...form,
        kind: "services",
        labels: selectorText(peer.selector),
        serviceNamespace: peer.namespace ?? "",
      };
    default:
      return { ...form, kind: "any" };
  }
}

/** The peers that the form says. `old` is the one that is edited: its way of writing stays. */
export function peersOf(
  form: PeerForm,
  kind: Kind,
  old: Peer | null,
): { peers: Peer[]; errors: FieldErrors } {
  const bad = (field: keyof FieldErrors, message: string) => ({ peers: [], errors: { [field]: message } });
  switch (form.kind) {
    case "name": {
      const names = words(form.names);
      if (names.length === 0) return bad("names", "write a name, as `kubernetes.io` or `*.example.com`");
      const wrong = names.find((name) => !/^([-a-zA-Z0-9_*]+[.]?)+$/.test(name));
      if (wrong !== undefined) return bad("names", `\`${wrong}\` is no DNS name: ${whyNoName(wrong)}`);
      return { peers: names.map((name) => ({ kind: "name", ...nameItem(name) })), errors: {} };
    }
    case "cidr": {
      const cidrs = words(form.cidrs).map(withLength);
      const except = words(form.except).map(withLength);
      if (cidrs.length === 0) return bad("cidrs", "write an address range, as `203.0.113.0/24`");
      const wrong = cidrs.find((one) => !isCidr(one));
      if (wrong !== undefined) return bad("cidrs", `\`${wrong}\` is no address range, as \`203.0.113.0/24\``);
      const wrongExcept = except.find((one) => !isCidr(one));
      if (wrongExcept !== undefined) return bad("except", `\`${wrongExcept}\` is no address range`);
      if (except.length > 0 && cidrs.length > 1)
        return bad("except", "exceptions need one range, not several");
      const plain = old?.kind === "cidr" ? old.plain && except.length === 0 : except.length === 0;
      const none = old?.kind === "cidr" && old.except?.length === 0 ? [] : null;
      return {
        peers: cidrs.map((cidr) => ({
          kind: "cidr",
          cidr,
          except: except.length > 0 ? except : none,
          plain,
        })),
        errors: {},
      };
    }
    case "entity":
      if (form.entity.trim() === "") return bad("entity", `choose one of ${ENTITIES.join(", ")}`);
      return { peers: [{ kind: "entity", entity: form.entity.trim() }], errors: {} };
    case "pods": {
      if (old?.kind === "pods") {
        const before = podsForm(old);
        const same = before.labels === form.labels && before.where === form.where;
        if (same && before.namespace === form.namespace) return { peers: [old], errors: {} };
      }
      const pods = readSelector(form.labels);
      if (typeof pods === "string") return bad("labels", pods);
      if (form.where === "named") {
        const namespace = form.namespace.trim();
        if (!/^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/.test(namespace)) {
          return bad("namespace", "write a namespace's name, as `kube-system`");
        }
        return { peers: [podsPeer(kind, "named", pods, namespace)], errors: {} };
      }
      const namespaces = readSelector(form.where === "labelled" ? form.namespace : "");
      if (typeof namespaces === "string") return bad("namespace", namespaces);
      return { peers: [podsPeer(kind, form.where, pods, namespaces)], errors: {} };
    }
    case "service": {
      const name = form.service.trim();
      if (name === "") return bad("service", "write the service's name");
      return {
        peers: [{ kind: "service", name, namespace: form.serviceNamespace.trim() || null }],
        errors: {},
      };
    }
    case "services": {
      const selector = readSelector(form.labels);
      if (typeof selector === "string") return bad("labels", selector);
      return {
        peers: [{ kind: "services", selector, namespace: form.serviceNamespace.trim() || null }],
        errors: {},
      };
    }
    case "any":
      return { peers: [{ kind: "any" }], errors: {} };
  }
}

/** What people paste in the place of a name. */
function whyNoName(text: string): string {
  if (text.includes("://") || text.includes("/")) return "without the rest of the link";
  if (/^[^:]+:\d+$/.test(text)) return "the port has a field of its own";
  if (/^\.|\.\./.test(text)) return "there is nothing before one of its dots";
  return "letters, digits, `-`, `_`, dots and `*` only";
}

export function words(text: string): string[] {
  return text.split(/[\s,]+/).filter((one) => one !== "");
}

function withLength(text: string): string {
  if (text.includes("/")) return text;
  return text.includes(":") ? `${text}/128` : `${text}/32`;
}

/** Near enough to say what a typing error is; the server judges it fully. */
function isCidr(text: string): boolean {
  const [address = "", length = "", ...more] = text.split("/");
  if (more.length > 0 || !/^\d{1,3}$/.test(length)) return false;
  if (address.includes(":")) return /^[0-9a-fA-F:.]+$/.test(address) && Number(length) <= 128;
  const bytes = address.split(".");
  return (
    bytes.length === 4 &&
    bytes.every((one) => /^\d{1,3}$/.test(one) && Number(one) <= 255) &&
    Number(length) <= 32
  );
}
