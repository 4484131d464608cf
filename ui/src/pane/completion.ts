/** Completion of keys and values from the server's schemas (GET /api/schema). */
import type { Completion, CompletionContext, CompletionResult } from "@codemirror/autocomplete";
import type { EditorView } from "@codemirror/view";
import type { JsonSchema } from "../api";
import { placeAt, type TextPlace } from "./place";

export type Schemas = Record<string, JsonSchema>;

export function complete(schemas: Schemas, context: CompletionContext): CompletionResult | null {
  const place = placeAt(context.state.doc.toString(), context.pos);
  if (place === null || (place.word === "" && !context.explicit && place.on === "key")) return null;
  const options = optionsAt(schemas, place);
  return options.length === 0 ? null : { from: place.from, options, validFor: /^[\w./-]*$/ };
}

export function optionsAt(schemas: Schemas, place: TextPlace): Completion[] {
  const kinds = Object.keys(schemas);
  if (place.path.length === 0 && place.key === "kind") return kinds.map((label) => ({ label, type: "enum" }));
  const root = place.kind === null ? undefined : schemas[place.kind];
  if (root === undefined) {
    if (place.on === "value" || place.path.length > 0) return [];
    return ["apiVersion", "kind", "metadata", "spec"].map((name) => keyOption(name, {}, place, false));
  }
  const here = schemaAt(
    root,
    place.on === "value" && place.key !== null ? [...place.path, place.key] : place.path,
  );
  if (here === null) return [];
  if (place.on === "value" || here.properties === undefined) return values(here);
  return Object.entries(here.properties)
    .filter(([name]) => !place.present.includes(name))
    .map(([name, schema]) => keyOption(name, schema, place, here.required?.includes(name) ?? false));
}

export function schemaAt(root: JsonSchema, path: readonly string[]): JsonSchema | null {
  let at: JsonSchema | undefined = root;
  for (const key of path) {
    if (at === undefined) return null;
    if (key === "[]") at = at.items;
    else
      at =
        at.properties?.[key] ??
        (typeof at.additionalProperties === "object" ? at.additionalProperties : undefined);
  }
  return at ?? null;
}

function values(schema: JsonSchema): Completion[] {
  if (schema.enum !== undefined) return schema.enum.map((one) => ({ label: String(one), type: "enum" }));
  if (schema.type === "boolean") return ["true", "false"].map((label) => ({ label, type: "constant" }));
  return [];
}

function keyOption(name: string, schema: JsonSchema, place: TextPlace, required: boolean): Completion {
  return {
    label: name,
    type: "property",
    detail: schema.type ?? "",
    boost: required ? 1 : 0,
    ...(schema.description === undefined ? {} : { info: schema.description }),
    apply: (view: EditorView, _option: Completion, from: number, to: number) => {
      const { before, after } = written(name, schema, place);
      const closed = place.flow?.quoted && view.state.sliceDoc(to, to + 1) === place.flow.quote;
      view.dispatch({
        changes: { from, to: closed ? to + 1 : to, insert: before + after },
        selection: { anchor: from + before.length },
        userEvent: "input.complete",
      });
    },
  };
}

/** A key with what its value begins with; the cursor stands between `before` and `after`. */
export function written(
  name: string,
  schema: JsonSchema,
  { flow, column }: TextPlace,
): { before: string; after: string } {
  const list = schema.type === "array";
  const map = schema.type === "object" || schema.properties !== undefined;
  if (flow !== null) {
    const key = `${flow.quoted ? "" : flow.quote}${name}${flow.quote}: `;
    if (list) return { before: `${key}[`, after: "]" };
    return map ? { before: `${key}{`, after: "}" } : { before: key, after: "" };
  }
  const space = " ".repeat(column + 2);
  const ending = list ? `:\n${space}- ` : map ? `:\n${space}` : ": ";
  return { before: name + ending, after: "" };
}
