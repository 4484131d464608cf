/** A stored policy as a file, named as the server names the files of a change: `default/backend.cnp.yaml`. */

import type { LivePolicy, PolicyFile } from "../../api";

const SHORT: Readonly<Record<string, string>> = {
  CiliumNetworkPolicy: "cnp",
  CiliumClusterwideNetworkPolicy: "ccnp",
  NetworkPolicy: "netpol",
};

export function fileOf({ kind, namespace, name, text }: LivePolicy): PolicyFile {
  const ending = `${SHORT[kind] ?? kind.toLowerCase()}.yaml`;
  return { name: `${namespace ? `${namespace}/` : ""}${name}.${ending}`, text };
}
