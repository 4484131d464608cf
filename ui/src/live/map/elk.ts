/** ELK in a web worker, started when the first map is laid out. */

import ELK from "elkjs/lib/elk-api.js";
import workerUrl from "elkjs/lib/elk-worker.min.js?url";
import type { ElkGraph } from "../model/layout";

let elk: InstanceType<typeof ELK> | null = null;

export async function runElk(graph: ElkGraph): Promise<ElkGraph> {
  elk ??= new ELK({ workerUrl });
  return (await elk.layout(graph as Parameters<typeof elk.layout>[0])) as ElkGraph;
}
