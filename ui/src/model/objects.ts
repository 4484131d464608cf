/**
 * The objects of a file: its documents, and the items of lists in them, in the order of the text.
 *
 * `index` counts all of them, `line` is as in the server's answers (docs/editor-api.md, judge).
 */
import { lineAt, readSource, type Source } from "./source";
import { treeOf } from "./tree";
import { isObject, type Json, type JsonObject, type Path } from "./value";

export const KINDS = ["CiliumNetworkPolicy", "CiliumClusterwideNetworkPolicy", "NetworkPolicy"] as const;
export type Kind = (typeof KINDS)[number];

export interface PolicyObject {
  index: number;
  /** Where it is: the document, and the path in it (`[]`, or `["items", 2]` of a list). */
  doc: number;
  path: Path;
  line: number;
  apiVersion: string;
  /** What the text says; `policyKind` is null where it is no kind of policy. */
  kind: string;
  policyKind: Kind | null;
  name: string;
  namespace: string;
  value: JsonObject;
}

const known = new WeakMap<Source, PolicyObject[]>();

export function objectsOf(source: Source): PolicyObject[] {
  const before = known.get(source);
  if (before !== undefined) return before;
  const found: PolicyObject[] = [];
  known.set(source, found);
  source.docs.forEach((doc, at) => {
    if (doc.contents === null) return;
    let value: unknown;
    try {
      value = treeOf(doc);
    } catch {
      return; // it has none: `problems` of the source say why
    }
    if (value !== null) collect(source, at, [], value as Json, found);
  });
  return found;
}

export function readObjects(text: string): PolicyObject[] {
  return objectsOf(readSource(text));
}

function collect(source: Source, doc: number, path: Path, value: Json, found: PolicyObject[]): void {
  if (!isObject(value)) return;
  const kind = text(value.kind);
  const items = value.items;
  if (kind.endsWith("List") && Array.isArray(items)) {
    for (const [at, item] of items.entries()) collect(source, doc, [...path, "items", at], item, found);
    return;
  }
  const metadata = isObject(value.metadata) ? value.metadata : {};
  const apiVersion = text(value.apiVersion);
  found.push({
    index: found.length,
    doc,
    path,
    line: lineAt(source, doc, path),
    apiVersion,
    kind,
    policyKind: kindOf(apiVersion, kind),
    name: text(metadata.name),
    namespace: text(metadata.namespace),
    value,
  });
}

function kindOf(apiVersion: string, kind: string): Kind | null {
  const group = apiVersion.split("/")[0];
  const known = KINDS.find((one) => one === kind);
  if (known === undefined) return null;
  return group === (known === "NetworkPolicy" ? "networking.k8s.io" : "cilium.io") ? known : null;
}

function text(value: unknown): string {
  return typeof value === "string" ? value : "";
}
