/**
 * Add a rule, or edit a peer with its rule's ports and names: one form for both.
 *
 * A name comes with the DNS rule it needs (names are learned from answers), unless that is turned off.
 */
import { type FormEvent, useId, useState } from "react";
import type { Action, Direction, Lane } from "../api";
import type { Act, Change } from "../model/change";
import type { Block, Card, Drawing, DrawnPeer, DrawnRule } from "../model/draw";
import {
  ANY_NAME,
  addPeer,
  addRule,
  allowDns,
  removeCard,
  removePeer,
  setDns,
  setIcmps,
  setPeer,
  setPorts,
} from "../model/edits";
import { ENTITIES, type NameItem, nameItem, type Peer, peerText } from "../model/peer";
import { type Icmp, icmpText, type Port, portText, readPorts } from "../model/port";
import { equal } from "../model/value";
import { Dialog } from "../shell/dialog";
import { type Choices, useChoices } from "./choices";
import { Field } from "./field";
import {
  ENTITY_WORDS,
  emptyForm,
  type FieldErrors,
  FORM_TITLES,
  formKinds,
  formOf,
  type PeerForm,
  peersOf,
  words,
} from "./peer-form";
import { Refusal } from "./refusal";
import { directionTitle, fallbackProtocol } from "./words";

export type RuleTarget =
  | { mode: "add"; direction: Direction; lane: Lane }
  | { mode: "edit"; card: Card; peer: DrawnPeer };

interface Props {
  drawing: Drawing;
  target: RuleTarget;
  act: Act;
  /** With the peer that was made or changed, or null for nothing. */
  onDone: (made: { peer: string; direction: Direction } | null) => void;
}

/** Ports and names of one port group, as texts. */
interface GroupForm {
  ports: string;
  dns: string;
}

type DnsChoice = "any" | "name" | "no";

export function RuleDialog({ drawing, target, act, onDone }: Props) {
  const { kind } = drawing;
  const rule = target.mode === "edit" ? target.card.rule : null;
  const direction = target.mode === "add" ? target.direction : target.card.rule.direction;
  const lane = target.mode === "add" ? target.lane : target.card.lane;
  const [action, setAction] = useState<Action>(rule?.action ?? "allow");
  const [initial] = useState(() => {
    const empty = emptyForm(kind, direction, lane);
    const form = target.mode === "edit" ? formOf(target.peer.peer, empty) : empty;
    return { form, groups: groupForms(rule, drawing) };
  });
  const [form, setForm] = useState<PeerForm>(initial.form);
  const [groups, setGroups] = useState<GroupForm[]>(initial.groups);
  const [dnsChoice, setDnsChoice] = useState<DnsChoice>("any");
  const [errors, setErrors] = useState<FieldErrors>({});
  const [refused, setRefused] = useState<string | null>(null);
  const choices = useChoices();
  const kinds = formKinds(kind, direction, action);
  const shown = kinds.includes(form.kind) ? form.kind : "cidr";
  const change = (part: Partial<PeerForm>) => setForm({ ...form, kind: shown, ...part });
  const asksDns = shown === "name" && action === "allow" && target.mode === "add";

  const submit = (event: FormEvent) => {
    event.preventDefault();
    const old = target.mode === "edit" ? target.peer.peer : null;
    // What was not touched stays as it is written, however odd.
    const untouched = old !== null && equal({ ...form, kind: shown }, initial.form);
    const { peers, errors: wrong } = untouched
      ? { peers: [old], errors: {} as FieldErrors }
      : peersOf({ ...form, kind: shown }, kind, old);
    const said = groups.map((group, at) =>
      rule !== null && group.ports === initial.groups[at]?.ports
        ? null
        : readPorts(group.ports, kind === "NetworkPolicy"),
    );
    const badPorts = said.find((one) => typeof one === "string");
    if (typeof badPorts === "string") wrong.ports = badPorts;
    else if (said.length > 1 && said.some((one) => typeof one === "object" && one?.icmps.length)) {
      wrong.ports = "ICMP types need a rule of their own";
    }
    if (Object.keys(wrong).length > 0) {
      setErrors(wrong);
      requestAnimationFrame(() => document.querySelector<HTMLElement>("dialog [aria-invalid]")?.focus());
      return;
    }
    const read = said as Exclude<(typeof said)[number], string>[];
    const dns = groups.map((group) => words(group.dns).map(nameItem));
    const first = peers[0];
    if (first === undefined) return;
    const text = peers.map(peerText).join(", ");
    let why: string | null;
    if (target.mode === "add") {
      const asked = dns[0] ?? [];
      const { ports = [], icmps = [] } = read[0] ?? {};
      const changes: Change[] = [];
      if (asksDns && dnsChoice !== "no") {
        const items = dnsChoice === "any" ? [ANY_NAME] : peers.flatMap(nameItemOf);
        changes.push(
          ...items.map(
            (item): Change =>
              (now, here) =>
                allowDns(now, here, item),
          ),
        );
      }
      changes.push(
        ...peers.map(
          (peer): Change =>
            (now, here) =>
              addRule(now, here, direction, action, {
                peer,
                ports,
                icmps,
                dns: asked.length > 0 ? asked : null,
              }),
        ),
      );
      why = act(changes, `${action} ${direction} ${direction === "ingress" ? "from" : "to"} ${text}`);
    } else {
      why = act(editChanges(target, peers, read, dns), `change ${text}`);
    }
    setErrors({});
    setRefused(why);
    if (why === null) onDone({ peer: peerText(first), direction });
  };

  const remove = () => {
    if (target.mode !== "edit") return;
    const { card, peer } = target;
    const why = act(
      [
        (now, here) =>
          card.peers.length > 1 ? removePeer(now, here, card.rule, peer) : removeCard(now, here, card),
      ],
      `remove ${peerText(peer.peer)}`,
    );
    setRefused(why);
    if (why === null) onDone(null);
  };

  const title = `${target.mode === "add" ? "Add" : "Edit"} ${directionTitle(direction).toLowerCase()}`;
  const others = rule === null ? 0 : rule.peers.length - 1;
  return (
    <Dialog title={title} onClose={() => onDone(null)}>
      <form onSubmit={submit} className="column" noValidate>
        {target.mode === "add" && (
          <ActionChoice action={action} deniable={kind !== "NetworkPolicy"} onChange={setAction} />
        )}
        <label className="field">
          <span>{direction === "ingress" ? "From" : "To"}</span>
          <select
            value={shown}
            onChange={(event) => change({ kind: event.target.value as PeerForm["kind"] })}
          >
            {kinds.map((one) => (
              <option key={one} value={one}>
                {FORM_TITLES[one]}
              </option>
            ))}
          </select>
        </label>
        <PeerFields
          form={{ ...form, kind: shown }}
          change={change}
          errors={errors}
          choices={choices}
          several={target.mode === "add"}
          clusterwide={kind === "CiliumClusterwideNetworkPolicy"}
          kubernetes={kind === "NetworkPolicy"}
        />
        {groups.map((group, at) => (
          <GroupFields
            // biome-ignore lint/suspicious/noArrayIndexKey: groups stay in their order
            key={at}
            title={groups.length > 1 ? `Ports ${at + 1}` : "Ports"}
            alone={groups.length === 1}
            group={group}
            error={errors.ports}
            namesDns={
              direction === "egress" && action === "allow" && kind !== "NetworkPolicy" && shown !== "name"
            }
            kubernetes={kind === "NetworkPolicy"}
            onChange={(part) =>
              setGroups(groups.map((one, index) => (index === at ? { ...one, ...part } : one)))
            }
          />
        ))}
        {others > 0 && (
          <p className="hint">
            The ports are those of the whole rule: {others} more of its peers share them.
          </p>
        )}
        {asksDns && <DnsRuleChoice choice={dnsChoice} onChange={setDnsChoice} />}
        <Refusal why={refused} />
        <div className="row end">
          {target.mode === "edit" && (
            <button type="button" onClick={remove}>
              Remove
            </button>
          )}
          <button type="button" onClick={() => onDone(null)}>
            Cancel
          </button>
          <button type="submit" className="main">
            {target.mode === "add" ? "Add" : "Change"}
          </button>
        </div>
      </form>
    </Dialog>
  );
}

function nameItemOf(peer: Peer): NameItem[] {
  return peer.kind === "name" ? [{ match: peer.match, value: peer.value }] : [];
}

function groupForms(rule: DrawnRule | null, drawing: Drawing): GroupForm[] {
  const fallback = fallbackProtocol(drawing.kind);
  const icmps = (rule?.icmps ?? []).flatMap((one) => one.types.map(({ icmp }) => icmpText(icmp)));
  const groups = (rule?.groups ?? []).map((group) => ({
    ports: group.ports.map(({ port }) => portText(port, fallback)).join(", "),
    dns: (group.dns ?? []).map(({ item }) => item.value).join(", "),
  }));
  if (groups.length === 0) return [{ ports: icmps.join(", "), dns: "" }];
  return groups;
}

/** What a ports field says; null where it was not touched. */
type ReadPorts = { ports: Port[]; icmps: Icmp[] } | null;

/** What differs from the drawing, each as a change of its own on the rule at the same place. */
function editChanges(
  target: RuleTarget & { mode: "edit" },
  peers: Peer[],
  read: ReadPorts[],
  dns: NameItem[][],
): Change[] {
  const label = target.card.rule.label;
  const again = (block: Block) => block.rules.find((one) => one.label === label) ?? target.card.rule;
  const changes: Change[] = [];
  const before = target.card.rule.groups ?? [];
  const count = Math.max(1, before.length);
  // From the last to the first: a group that goes moves only those behind it.
  for (let at = count - 1; at >= 0; at--) {
    const wanted = read[at];
    if (wanted === undefined) continue;
    changes.push((drawing, block) => {
      if (wanted === null) return [];
      const rule = again(block);
      const group = rule.groups?.[at] ?? null;
      const fallback = fallbackProtocol(drawing.kind);
      const now = (group?.ports ?? []).map(({ port }) => port);
      const same = equal(
        now.map((one) => portText(one, fallback)),
        wanted.ports.map((one) => portText(one, fallback)),
      );
      const kept = wanted.ports.map(
        (one) => now.find((there) => portText(there, fallback) === portText(one, fallback)) ?? one,
      );
      return same ? [] : setPorts(drawing, rule, group, kept);
    });
    changes.push((drawing, block) => {
      const group = again(block).groups?.[at];
      const names = dns[at] ?? [];
      if (group === undefined || wanted?.ports.length === 0) return [];
      const now = (group.dns ?? []).map(({ item }) => item);
      const kept = names.map((one) => now.find((there) => there.value === one.value) ?? one);
      return equal(now, kept) ? [] : setDns(drawing, group, kept);
    });
  }
  changes.push((_drawing, block) => {
    const [first] = read;
    // Where the rule had ports, its ICMP types were not shown.
    if (!first || (before.length > 0 && first.icmps.length === 0)) return [];
    return setIcmps(again(block), first.icmps);
  });
  const [first, ...more] = peers;
  if (first !== undefined) {
    const index = target.card.rule.peers.indexOf(target.peer);
    changes.push((drawing, block) => {
      const rule = again(block);
      const old = rule.peers[index] ?? target.peer;
      return setPeer(drawing, block, rule, old, first);
    });
  }
  changes.push(
    ...more.map(
      (peer): Change =>
        (drawing, block) =>
          addPeer(drawing, again(block), peer),
    ),
  );
  return changes;
}

function ActionChoice({
  action,
  deniable,
  onChange,
}: {
  action: Action;
  deniable: boolean;
  onChange: (action: Action) => void;
}) {
  const name = useId();
  if (!deniable) return null;
  return (
    <fieldset className="row">
      <legend>What the rule does</legend>
      {(["allow", "deny"] as const).map((one) => (
        <label key={one} className="row">
          <input type="radio" name={name} checked={action === one} onChange={() => onChange(one)} />
          {one === "allow" ? "Allow" : "Deny (wins over every allow)"}
        </label>
      ))}
    </fieldset>
  );
}

interface PeerFieldsProps {
  form: PeerForm;
  change: (part: Partial<PeerForm>) => void;
  errors: FieldErrors;
  choices: Choices;
  several: boolean;
  clusterwide: boolean;
  kubernetes: boolean;
}

function PeerFields({ form, change, errors, choices, several, clusterwide, kubernetes }: PeerFieldsProps) {
  const labels = (
    <Field
      label="Labels"
      value={form.labels}
      onChange={(labels) => change({ labels })}
      error={errors.labels}
      placeholder="app=web"
      choices={choices.labels}
      hint="As kubectl -l has it: app=web, tier in (a, b), !old. Empty for all."
    />
  );
  const serviceNamespace = (
    <Field
      label="Namespace of the service"
      value={form.serviceNamespace}
      onChange={(serviceNamespace) => change({ serviceNamespace })}
      choices={choices.namespaces}
      hint="Empty for any."
    />
  );
  switch (form.kind) {
    case "name":
      return (
        <Field
          label="Name"
          value={form.names}
          onChange={(names) => change({ names })}
          error={errors.names}
          placeholder="kubernetes.io"
          choices={choices.names}
          hint={`A star is a pattern: *.example.com is one label more, **.example.com any.${several ? " Several, with commas." : ""}`}
        />
      );
    case "cidr":
      return (
        <>
          <Field
            label="Address range"
            value={form.cidrs}
            onChange={(cidrs) => change({ cidrs })}
            error={errors.cidrs}
            placeholder="203.0.113.0/24"
            choices={choices.addresses}
            {...(several ? { hint: "Several, with commas." } : {})}
          />
          <Field
            label="But not"
            value={form.except}
            onChange={(except) => change({ except })}
            error={errors.except}
            placeholder="203.0.113.128/25"
          />
        </>
      );
    case "entity":
      return (
        <label className="field">
          <span>Entity</span>
          <select value={form.entity} onChange={(event) => change({ entity: event.target.value })}>
            {[...new Set([...ENTITIES, form.entity])].map((one) => (
              <option key={one} value={one}>
                {ENTITY_WORDS[one] === undefined ? one : `${one}: ${ENTITY_WORDS[one]}`}
              </option>
            ))}
          </select>
        </label>
      );
    case "pods":
      return (
        <>
          {labels}
          <label className="field">
            <span>Namespace</span>
            <select
              value={form.where}
              onChange={(event) => change({ where: event.target.value as PeerForm["where"] })}
            >
              {!clusterwide && <option value="here">that of the policy</option>}
              {clusterwide && <option value="here">as the labels say, else every one</option>}
              <option value="named">the one named …</option>
              {!clusterwide && <option value="every">every one</option>}
              {clusterwide && form.where === "every" && <option value="every">every one</option>}
              {kubernetes && <option value="labelled">those with labels …</option>}
            </select>
          </label>
          {(form.where === "named" || form.where === "labelled") && (
            <Field
              label={form.where === "named" ? "Name of the namespace" : "Labels of the namespaces"}
              value={form.namespace}
              onChange={(namespace) => change({ namespace })}
              error={errors.namespace}
              placeholder={form.where === "named" ? "kube-system" : "team=blue"}
              choices={form.where === "named" ? choices.namespaces : []}
            />
          )}
        </>
      );
    case "service":
      return (
        <>
          <Field
            label="Name of the service"
            value={form.service}
            onChange={(service) => change({ service })}
            error={errors.service}
            choices={choices.services}
          />
          {serviceNamespace}
        </>
      );
    case "services":
      return (
        <>
          {labels}
          {serviceNamespace}
        </>
      );
    case "any":
      return <p className="hint">Everyone, inside and outside the cluster.</p>;
  }
}

interface GroupFieldsProps {
  title: string;
  /** The rule has no other group: none of these ports are all ports. */
  alone: boolean;
  group: GroupForm;
  error: string | undefined;
  namesDns: boolean;
  kubernetes: boolean;
  onChange: (part: Partial<GroupForm>) => void;
}

function GroupFields({ title, alone, group, error, namesDns, kubernetes, onChange }: GroupFieldsProps) {
  return (
    <>
      <Field
        label={title}
        value={group.ports}
        onChange={(ports) => onChange({ ports })}
        error={error}
        placeholder="443/TCP"
        hint={`${alone ? "Empty for all." : "Empty for the other ports alone."} 443, 8000-8080/UDP, ${
          kubernetes ? "http" : alone ? "53/ANY, icmp/8" : "53/ANY"
        }; TCP if no protocol is said.`}
      />
      {namesDns && (group.ports.includes("53") || group.dns !== "") && (
        <Field
          label="DNS names that may be asked there"
          value={group.dns}
          onChange={(dns) => onChange({ dns })}
          placeholder="*"
          hint="With commas; * for any. Empty for no DNS rule: then no names are learned from the answers."
        />
      )}
    </>
  );
}

function DnsRuleChoice({ choice, onChange }: { choice: DnsChoice; onChange: (choice: DnsChoice) => void }) {
  const on = choice !== "no";
  return (
    <fieldset>
      <legend>DNS</legend>
      <label className="row">
        <input type="checkbox" checked={on} onChange={() => onChange(on ? "no" : "any")} />
        Let it ask kube-dns too
      </label>
      <p className="hint">A name opens only the addresses that an answer to the workload gave for it.</p>
      {on && (
        <label className="field">
          <span>It may ask for</span>
          <select value={choice} onChange={(event) => onChange(event.target.value as DnsChoice)}>
            <option value="any">any name</option>
            <option value="name">this name only</option>
          </select>
        </label>
      )}
    </fieldset>
  );
}
