/** Plain values as YAML and JSON have them: comparing, and what an edit makes of one. */

export type Json = string | number | boolean | null | Json[] | { [key: string]: Json };
export type JsonObject = { [key: string]: Json };

/** To a value within another: keys of maps, numbers of items. */
export type Path = readonly (string | number)[];

export type Edit =
  /** Replace the value, or add it: missing maps on the way are made. */
  | { op: "set"; path: Path; value: Json }
  /** Add to the end of the list at `path`, which is made where it is missing. */
  | { op: "append"; path: Path; value: Json }
  /** Take away the item of a list, or the key of a map with its value. */
  | { op: "remove"; path: Path }
  /** Another name for the key at `path`, in its place. */
  | { op: "rename"; path: Path; key: string };

export function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

export function isStrings(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((one) => typeof one === "string");
}

/** The same value, whatever the order of keys. */
export function equal(a: unknown, b: unknown): boolean {
  if (Object.is(a, b)) return true;
  if (Array.isArray(a) && Array.isArray(b)) {
    return a.length === b.length && a.every((one, at) => equal(one, b[at]));
  }
  if (!isObject(a) || !isObject(b)) return false;
  const keys = Object.keys(a);
  return (
    keys.length === Object.keys(b).length &&
    keys.every((key) => Object.hasOwn(b, key) && equal(a[key], b[key]))
  );
}

/** The value after the edit: what the text must say then. */
export function withEdit(value: Json, edit: Edit): Json {
  const copy = structuredClone(value);
  const key = edit.path.at(-1);
  if (key === undefined) return edit.op === "set" ? edit.value : copy;
  const root: JsonObject = { root: copy };
  let at: Json = root;
  let step: string | number = "root";
  for (const next of edit.path) {
    const below = read(at, step);
    if (below === null || below === undefined) write(at, step, {});
    at = read(at, step) as Json;
    step = next;
  }
  if (edit.op === "set") write(at, step, edit.value);
  else if (edit.op === "append") {
    const list = read(at, step);
    if (Array.isArray(list)) list.push(edit.value);
    else write(at, step, [edit.value]);
  } else if (edit.op === "remove") {
    if (Array.isArray(at)) at.splice(Number(step), 1);
    else if (isObject(at)) delete at[String(step)];
  } else if (isObject(at)) renameKey(at, String(step), edit.key);
  return root.root ?? null;
}

/** In its place, as in the text. */
function renameKey(map: JsonObject, old: string, key: string): void {
  for (const [name, value] of Object.entries(map)) {
    delete map[name];
    map[name === old ? key : name] = value;
  }
}

export function valueAt(value: unknown, path: Path): unknown {
  return path.reduce<unknown>((at, key) => read(at as Json, key), value);
}

function read(at: Json, key: string | number): Json | undefined {
  if (Array.isArray(at)) return at[Number(key)];
  return isObject(at) ? at[String(key)] : undefined;
}

function write(at: Json, key: string | number, value: Json): void {
  if (Array.isArray(at)) at[Number(key)] = value;
  else if (isObject(at)) at[String(key)] = value;
}
