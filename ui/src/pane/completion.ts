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
    return ["apiVersion", "kind", "metadata", "spec"].map((label) => ({
      label,
      type: "property",
      apply: `${label}: `,
    }));
  }
  const here = schemaAt(
    root,
    place.on === "value" && place.key !== null ? [...place.path, place.key] : place.path,
  );
  if (here === null) return [];
  if (place.on === "value" || here.properties === undefined) return values(here);
  return Object.entries(here.properties)
    .filter(([name]) => !place.present.includes(name))
    .map(([name, schema]) => keyOption(name, schema, place.column, here.required?.includes(name) ?? false));
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

function keyOption(name: string, schema: JsonSchema, column: number, required: boolean): Completion {
  const space = " ".repeat(column + 2);
  const ending =
    schema.type === "array"
      ? `:\n${space}- `
      : schema.type === "object" || schema.properties
        ? `:\n${space}`
        : ": ";
  return {
    label: name,
    type: "property",
    detail: schema.type ?? "",
    boost: required ? 1 : 0,
    ...(schema.description === undefined ? {} : { info: schema.description }),
    apply: (view: EditorView, _option: Completion, from: number, to: number) => {
      const insert = name + ending;
      view.dispatch({
        changes: { from, to, insert },
        selection: { anchor: from + insert.length },
        userEvent: "input.complete",
      });
    },
  };
}
