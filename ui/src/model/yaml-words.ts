/**
 * Words of YAML without quotes, as kubectl and the server read them (src/namewall/model/documents.py): go-yaml's idea of
 * YAML 1.1, where `yes` is true, `012` is ten and a date is text.
 *
 * `tests/unit/model/yaml-words.json` holds both sides to it.
 */
export type Plain = string | number | boolean | null;

export const TRUE = /^(?:y|Y|yes|Yes|YES|on|On|ON|true|True|TRUE)$/;
export const FALSE = /^(?:n|N|no|No|NO|off|Off|OFF|false|False|FALSE)$/;
export const NULL = /^(?:~|null|Null|NULL|)$/;
export const INT = /^[-+]?(?:0b[01_]+|0o?[0-7_]+|0x[0-9a-fA-F_]+|[0-9][0-9_]*)$/;
export const FLOAT =
  /^(?:[-+]?(?:\.[0-9]+|[0-9][0-9_]*(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$/;
/** Text here, and something else to other readers: merges, numbers to the base 60, dates. */
const ELSEWHERE = /^(?:<<|=|[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?|\d{4}-\d\d?-\d\d?(?:[Tt ].*)?)$/;
const LONGEST_NUMBER = 400; // characters; longer ones are text

/** What a word without quotes means. */
export function plainValue(word: string): Plain {
  if (NULL.test(word)) return null;
  if (TRUE.test(word)) return true;
  if (FALSE.test(word)) return false;
  return numberOf(word) ?? word;
}

/** Would a word without quotes not be this text to every reader? */
export function isAmbiguous(text: string): boolean {
  return typeof plainValue(text) !== "string" || INT.test(text) || FLOAT.test(text) || ELSEWHERE.test(text);
}

function numberOf(word: string): number | null {
  if (word.length > LONGEST_NUMBER) return null;
  const bare = word.replaceAll("_", "");
  if (INT.test(word)) return intOf(bare);
  if (!FLOAT.test(word)) return null;
  if (/inf$/i.test(word)) return word.startsWith("-") ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY;
  return /nan$/i.test(word) ? Number.NaN : Number(bare);
}

/** Null for `0x_` and the like, which are text. */
function intOf(text: string): number | null {
  const digits = text.replace(/^[-+]/, "");
  const value = /^0[0-7]+$/.test(digits) ? Number.parseInt(digits, 8) : Number(digits);
  if (digits === "" || Number.isNaN(value)) return null;
  return text.startsWith("-") ? 0 - value : value;
}
