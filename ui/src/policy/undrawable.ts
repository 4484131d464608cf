/** Why nothing is drawn of a text that can be read. */
import { KINDS, objectsOf } from "../model/objects";
import { readSource } from "../model/source";

export function undrawable(text: string, object: number): string {
  const objects = objectsOf(readSource(text));
  const { kind, apiVersion } = objects[Math.min(object, objects.length - 1)] ?? {};
  // A misspelt kind is what the checks are about.
  if (kind && apiVersion && !KINDS.some((one) => one === kind))
    return `\`${kind}\` is no policy: there is nothing to draw.`;
  return "There is no policy here that can be drawn: it needs `apiVersion`, `kind` and `spec`.";
}
