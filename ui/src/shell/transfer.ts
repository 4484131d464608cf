/** Files and texts in and out of the page: download, clipboard, the compressed form in a link. */
import type { PolicyFile } from "../api";

export function download(name: string, content: string | Blob, type = "text/plain"): void {
  const blob = typeof content === "string" ? new Blob([content], { type }) : content;
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name.split(/[\\/]/).at(-1) ?? name; // of a path the browser would make one long word
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

/**
 * All of a file's text, with the mark of UTF-8, which `Blob.text` takes away; null where it is no text in UTF-8:
 * another encoding would be saved with its letters lost.
 */
export async function textOf(file: Blob): Promise<string | null> {
  try {
    const text = new TextDecoder("utf-8", { ignoreBOM: true, fatal: true }).decode(await file.arrayBuffer());
    return text.includes("\u0000") ? null : text;
  } catch {
    return null;
  }
}

export async function copyText(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false; // forbidden here: the text can still be selected
  }
}

const LARGEST = 2_000_000; // bytes that a link may unpack to

/** The files as a text for a link: JSON, deflated, in the letters of URLs. */
export async function pack(files: readonly PolicyFile[]): Promise<string> {
  const json = JSON.stringify(files.map(({ name, text }) => [name, text]));
  const stream = new Blob([json]).stream().pipeThrough(new CompressionStream("deflate-raw"));
  const bytes = new Uint8Array(await new Response(stream).arrayBuffer());
  let binary = "";
  for (const byte of bytes) binary += String.fromCharCode(byte);
  return btoa(binary).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

/** The files that a link holds; null where it is broken or too large. */
export async function unpack(packed: string): Promise<PolicyFile[] | null> {
  try {
    const binary = atob(packed.replaceAll("-", "+").replaceAll("_", "/"));
    const bytes = Uint8Array.from(binary, (one) => one.charCodeAt(0));
    const reader = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate-raw")).getReader();
    const parts: Uint8Array<ArrayBuffer>[] = [];
    let size = 0;
    for (;;) {
      const { value, done } = await reader.read();
      if (done) break;
      size += value.length;
      if (size > LARGEST) return null;
      parts.push(new Uint8Array(value));
    }
    const read: unknown = JSON.parse(await new Blob(parts).text());
    if (!Array.isArray(read)) return null;
    return read.flatMap((one) =>
      Array.isArray(one) && typeof one[0] === "string" && typeof one[1] === "string"
        ? [{ name: one[0], text: one[1] }]
        : [],
    );
  } catch {
    return null;
  }
}
