import type { PolicyFile } from "../api";

/** The open files with those of an answer in their places; new ones come last. */
export function merged(files: readonly PolicyFile[], after: readonly PolicyFile[]): PolicyFile[] {
  const known = files.map((file) => after.find((one) => one.name === file.name) ?? file);
  return [...known, ...after.filter((one) => !files.some((file) => file.name === one.name))];
}
