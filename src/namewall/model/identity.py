"""Numeric identities: numbers for label sets that policy can tell apart (semantics.md section 3)."""

from __future__ import annotations

from enum import IntEnum


class Reserved(IntEnum):
    """Reserved numeric identities, Cilium's numbers. 0 is `any peer` in policy keys, `unknown` in the ipcache."""

    UNKNOWN = 0
    HOST = 1
    WORLD = 2
    UNMANAGED = 3
    HEALTH = 4
    INIT = 5
    REMOTE_NODE = 6
    KUBE_APISERVER = 7
    INGRESS = 8
    WORLD_IPV4 = 9
    WORLD_IPV6 = 10
    # Ours: addresses of the closed ranges (design.md section 4) that nothing known owns: Service VIPs without
    # a Service, free pod addresses, loopback. No selector but the wildcard of L3-less rules reaches them.
    CLOSED = 15


FIRST_POD_IDENTITY = 256
"""Pod identities run from here to 65535, as Cilium's cluster-wide ones do."""
