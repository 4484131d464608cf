/** A line of the flow stream (docs/agent-api.md), as far as the page reads it. */

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
