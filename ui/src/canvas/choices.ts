/** Live workloads, names and addresses to choose from in fields; empty where nothing is live. */
import { useEffect, useState } from "react";
import { api, type LiveEndpoint } from "../api";
import { useSession } from "../shell/session";

export interface Choices {
  names: string[];
  addresses: string[];
  namespaces: string[];
  /** As `app=web`. */
  labels: string[];
  services: string[];
  /** Pods, by `namespace/name`. */
  workloads: LiveEndpoint[];
}

const NONE: Choices = { names: [], addresses: [], namespaces: [], labels: [], services: [], workloads: [] };

export function useChoices(): Choices {
  const { live } = useSession();
  const [choices, setChoices] = useState<Choices>(NONE);
  useEffect(() => {
    if (!live) return;
    const stop = new AbortController();
    api
      .live(stop.signal)
      .then((state) => {
        const pairs = state.endpoints.flatMap((one) =>
          Object.entries(one.labels).map(([key, value]) => `${key}=${value}`),
        );
        const addresses = state.names.flatMap((one) => one.addresses);
        setChoices({
          names: unique(state.names.map((one) => one.name)),
          addresses: unique(addresses.map((one) => (one.includes(":") ? `${one}/128` : `${one}/32`))),
          namespaces: unique(state.endpoints.map((one) => one.namespace)),
          labels: unique(pairs),
          workloads: state.endpoints,
          services: unique(state.services.map((one) => one.name)),
        });
      })
      .catch(() => undefined); // choices are a comfort
    return () => stop.abort();
  }, [live]);
  return choices;
}

function unique(texts: string[]): string[] {
  return [...new Set(texts)].sort();
}
