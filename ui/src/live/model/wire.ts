/** The JSON of the live API (docs/editor-api.md, docs/agent-api.md), as far as this half of the page reads it. */

export interface File {
  readonly name: string;
  readonly text: string;
}

export interface WireEnd {
  readonly ID?: number;
  readonly identity?: number;
  readonly namespace?: string;
  readonly labels?: readonly string[];
  readonly pod_name?: string;
  readonly workloads?: readonly { readonly name: string; readonly kind: string }[];
}

export interface WireService {
  readonly name: string;
  readonly namespace?: string;
}

export interface WireRule {
  readonly kind: string;
  readonly namespace: string | null;
  readonly name: string;
  /** Zero-based path, as `spec.egress[1]`; a policy that only turned default deny on has none. */
  readonly rule?: string;
}

export interface WireLayer4 {
  readonly source_port?: number;
  readonly destination_port?: number;
  readonly flags?: Readonly<Record<string, boolean>>;
  readonly type?: number;
}

/** Hubble's flow, with what Hubble has no field for under `namewall`. */
export interface WireFlow {
  readonly time: string;
  readonly uuid: string;
  readonly verdict: string;
  readonly IP?: { readonly source?: string; readonly destination?: string; readonly ipVersion?: string };
  readonly l4?: Readonly<Record<string, WireLayer4>>;
  readonly l7?: {
    readonly type?: string;
    readonly dns?: {
      readonly query?: string;
      readonly ips?: readonly string[];
      readonly ttl?: number;
      readonly rcode?: number;
      readonly qtypes?: readonly string[];
      readonly observation_source?: string;
    };
  };
  readonly source?: WireEnd;
  readonly destination?: WireEnd;
  readonly source_names?: readonly string[];
  readonly destination_names?: readonly string[];
  readonly source_service?: WireService;
  readonly destination_service?: WireService;
  readonly event_type?: { readonly type?: number; readonly sub_type?: number };
  readonly traffic_direction?: string;
  readonly policy_match_type?: number;
  readonly drop_reason_desc?: string;
  readonly is_reply?: boolean;
  readonly Summary?: string;
  readonly policy_log?: readonly string[];
  readonly node_name?: string;
  readonly namewall?: {
    readonly times?: number;
    readonly rules?: readonly WireRule[];
    readonly selected_by?: readonly WireRule[];
    readonly names_expired?: boolean;
  };
}

export interface WireLost {
  readonly source: string;
  readonly num_events_lost: string;
}

export interface Endpoint {
  readonly namespace: string;
  /** Of the pod. */
  readonly name: string;
  readonly workload?: { readonly kind: string; readonly name: string } | null;
  readonly labels: Readonly<Record<string, string>>;
  readonly addresses: readonly string[];
  readonly identity: number;
  readonly ingressEnforced: boolean;
  readonly egressEnforced: boolean;
}

export interface LearnedName {
  readonly namespace: string;
  readonly pod: string;
  readonly name: string;
  readonly addresses: readonly string[];
  readonly secondsLeft: number;
}

export interface Service {
  readonly namespace: string;
  readonly name: string;
  readonly addresses: readonly string[];
  readonly ports: readonly unknown[];
}

export interface StoredPolicy {
  readonly kind: string;
  readonly namespace: string | null;
  readonly name: string;
  readonly text: string;
  readonly audit: boolean;
}

/** `GET /api/live`. */
export interface Live {
  readonly server: string;
  readonly endpoints: readonly Endpoint[];
  readonly names: readonly LearnedName[];
  readonly services: readonly Service[];
  readonly namespaces: readonly unknown[];
  readonly policies: readonly StoredPolicy[];
}

/** `POST /api/allow`. */
export interface Allowed {
  readonly allowed: boolean;
  readonly changes: readonly Change[];
  readonly files: readonly File[];
  readonly diff: string;
  readonly noPatch: string | null;
}

export interface Change {
  readonly policy: string;
  readonly kind: string;
  readonly namespace: string | null;
  readonly op: string;
  readonly path: string;
  readonly value: unknown;
}

/** `POST /api/what-if`. */
export interface WhatIf {
  readonly seen: number;
  readonly changed: readonly {
    readonly flow: WireFlow;
    readonly was: string;
    readonly now: string;
    readonly rules: readonly unknown[];
  }[];
}

/** `POST /api/apply`. */
export interface Applied {
  readonly results: readonly {
    readonly kind: string;
    readonly namespace: string | null;
    readonly name: string;
    readonly operation: string;
    readonly error: string | null;
  }[];
}
