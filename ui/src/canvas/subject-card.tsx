/** Whom the policy is about: the card in the middle, and the dialog that changes it. */
import { type FormEvent, useState } from "react";
import type { Act, Change } from "../model/change";
import type { Block, Drawing } from "../model/draw";
import { rename, setAudit, setDescription, setNamespace, setSubject } from "../model/edits";
import { readSelector, selectorText } from "../model/selector";
import type { Path } from "../model/value";
import { Dialog } from "../shell/dialog";
import { useChoices } from "./choices";
import { Field } from "./field";
import { Refusal } from "./refusal";
import { KIND_TITLES, subjectText } from "./words";

interface Props {
  drawing: Drawing;
  block: Block;
  stale: boolean;
  act: Act;
  show: (path: Path) => void;
}

export function SubjectCard({ drawing, block, stale, act, show }: Props) {
  const [open, setOpen] = useState(false);
  const selector = block.subject?.selector ?? null;
  return (
    <section className="subject" aria-label="Endpoint">
      <span className="quiet">{KIND_TITLES[drawing.kind]}</span>
      <h2>{drawing.name || "(no name)"}</h2>
      {drawing.namespace !== "" && <span className="quiet">namespace {drawing.namespace}</span>}
      <p className="subject-labels">{subjectText(selector, block.subject?.key ?? "endpointSelector")}</p>
      {block.description !== null && <p className="hint">{block.description}</p>}
      {saysNothing(block) && (
        <p className="notice warn">
          No rules yet: add on either side with whom it may talk, or let a side be denied by default.
        </p>
      )}
      <button type="button" disabled={stale} onClick={() => setOpen(true)}>
        Edit endpoint
      </button>
      <button
        type="button"
        className="plain mono link"
        onClick={() => show(block.subject?.path ?? block.path)}
      >
        {block.label}
      </button>
      <label className="row audit">
        <input
          type="checkbox"
          role="switch"
          checked={drawing.audit}
          disabled={stale}
          onChange={() => act([(now) => setAudit(now, !now.audit)], drawing.audit ? "enforce" : "audit")}
        />
        Audit only
      </label>
      {open && <SubjectDialog drawing={drawing} block={block} act={act} onClose={() => setOpen(false)} />}
    </section>
  );
}

/** The API server refuses such a policy, in words that are hard to read. */
function saysNothing({ cards, kept, defaultDeny }: Block): boolean {
  return cards.length + kept.length === 0 && !defaultDeny.ingress.on && !defaultDeny.egress.on;
}

function isSubject(path: Path): boolean {
  return /^(endpoint|node|pod)Selector$/.test(String(path.at(-1)));
}

interface DialogProps {
  drawing: Drawing;
  block: Block;
  act: Props["act"];
  onClose: () => void;
}

function SubjectDialog({ drawing, block, act, onClose }: DialogProps) {
  const before = block.subject === null ? "" : selectorText(block.subject.selector);
  // A selector that the canvas cannot read stays: another one would make the policy about other pods.
  const fixed = block.subject === null && block.kept.some((one) => isSubject(one.path));
  const [name, setName] = useState(drawing.name);
  const [namespace, setSpace] = useState(drawing.object.namespace);
  const [labels, setLabels] = useState(before);
  const [description, setAbout] = useState(block.description ?? "");
  const [errors, setErrors] = useState<{ name?: string; namespace?: string; labels?: string }>({});
  const [refused, setRefused] = useState<string | null>(null);
  const choices = useChoices();
  const clusterwide = drawing.kind === "CiliumClusterwideNetworkPolicy";

  const submit = (event: FormEvent) => {
    event.preventDefault();
    const selector = readSelector(labels);
    const wrong: typeof errors = {};
    if (!/^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$/.test(name)) {
      wrong.name = "small letters, digits, `-` and `.`, as `allow-web`";
    }
    if (namespace !== "" && !/^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/.test(namespace)) {
      wrong.namespace = "small letters, digits and `-`, as `kube-system`";
    }
    if (typeof selector === "string") wrong.labels = selector;
    setErrors(wrong);
    if (typeof selector === "string" || Object.keys(wrong).length > 0) {
      requestAnimationFrame(() => document.querySelector<HTMLElement>("dialog [aria-invalid]")?.focus());
      return;
    }
    const changes: Change[] = [];
    if (name !== drawing.name) changes.push((now) => rename(now, name));
    if (namespace !== drawing.object.namespace) changes.push((now) => setNamespace(now, namespace));
    if (!fixed && (labels !== before || block.subject === null)) {
      changes.push((now, here) => setSubject(here, now.kind, selector));
    }
    if (description !== (block.description ?? ""))
      changes.push((_now, here) => setDescription(here, description));
    const why = changes.length === 0 ? null : act(changes, `change the endpoint of ${name}`);
    setRefused(why);
    if (why === null) onClose();
  };

  return (
    <Dialog title="Edit endpoint" onClose={onClose}>
      <form onSubmit={submit} className="column" noValidate>
        <Field label="Name of the policy" value={name} onChange={setName} error={errors.name} />
        {!clusterwide && (
          <Field
            label="Namespace"
            value={namespace}
            onChange={setSpace}
            error={errors.namespace}
            placeholder="default"
            choices={choices.namespaces}
            hint="Empty: where it is applied."
          />
        )}
        {fixed ? (
          <p className="hint">Its selector is kept as it is: only the text can change it.</p>
        ) : (
          <Field
            label="Labels of the pods it is about"
            value={labels}
            onChange={setLabels}
            error={errors.labels}
            placeholder="app=backend"
            choices={choices.labels}
            hint="As kubectl -l has it: app=web, tier in (a, b), !old. Empty for all pods."
          />
        )}
        {drawing.kind !== "NetworkPolicy" && (
          <Field label="Description" value={description} onChange={setAbout} />
        )}
        <Refusal why={refused} />
        <div className="row end">
          <button type="button" onClick={onClose}>
            Cancel
          </button>
          <button type="submit" className="main">
            Change
          </button>
        </div>
      </form>
    </Dialog>
  );
}
