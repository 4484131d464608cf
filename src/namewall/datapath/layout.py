"""The layouts of bpf/types.h in Python: what keys, values and events are as bytes.

Every layout is a list of fields in order, little-endian, with explicit padding; a test compares names, offsets
and sizes with the object's BTF. Addresses are 16 bytes, IPv4 as ::ffff:a.b.c.d.
"""

from __future__ import annotations

import struct
from enum import IntEnum
from ipaddress import IPv6Network

from namewall.model.net import Network
from namewall.model.packed import pack_address as pack_address
from namewall.model.packed import unpack_address as unpack_address

SCHEMA = 6
MAX_ADDRESSES = 8
MAX_BACKENDS = 16
GRANT_SLOTS = 4
GRANT_PAGES = 32
PENDING_SETS = 2048
PENDING_SET_BYTES = 64
QUESTIONS = "questions"
"""The name of an endpoint's map of questions: another one whenever its size or what it holds or hashes changes."""

ENFORCE_INGRESS, ENFORCE_EGRESS, REBINDING_STRICT, LEARNS_NAMES, VERIFY_NAMES, VERIFY_IN_AUDIT = (
    1,
    2,
    4,
    8,
    16,
    32,
)
REFUSALS = {"auto": 0, "refused": 1, "nxdomain": 2}
INSIDE = 1
POLICY_DENY, POLICY_DNS, POLICY_DNS_ANY, POLICY_ASIDE = 1, 2, 4, 8
PEER_CIDR, PEER_CIDR_INSIDE, PEER_NAME, PEER_NUMBER = 0x40000000, 0x80000000, 0xC0000000, 0x3FFFFFFF
CLASS_GRANTS = 0x80000000
POLICY_EXACT, POLICY_L4 = 96, 24
POLICY_WHOLE = POLICY_EXACT - POLICY_L4
MAINTAIN_GRANT, MAINTAIN_EXPIRE = 1, 2
LEARNED_FULL, REFUSED_IN_AUDIT = 1, 2
COUNT_LOST, COUNT_LEFT_OUT = (0).to_bytes(4, "little"), (1).to_bytes(4, "little")
"""Keys of `counters` that are no drop reasons (bpf/events.h)."""


class GrantResult(IntEnum):
    KNOWN = 0
    NEW = 1
    PROLONGED = 2
    FULL = -1
    NEVER = -2


class EventType(IntEnum):
    FLOW = 1
    DROP = 2
    LEARNED = 3
    REFUSED = 4
    AUDIT = 5


class Layout:
    """`fields` is `name:format` separated by blanks; `pack` and `unpack` take and give them in that order."""

    def __init__(self, name: str, fields: str) -> None:
        self.name = name
        self.fields: dict[str, str] = {}
        for field in fields.split():
            label, _, code = field.partition(":")
            self.fields[label] = code
        self._struct = struct.Struct("<" + "".join(self.fields.values()))
        self.size = self._struct.size
        self.pack = self._struct.pack
        self.unpack = self._struct.unpack
        self.unpack_from = self._struct.unpack_from

    def offset(self, field: str) -> int:
        before = []
        for name, code in self.fields.items():
            if name == field:
                break
            before.append(code)
        return struct.calcsize("<" + "".join(before))


CONFIG = Layout(
    "config",
    "schema:I generation:I epoch:I refusal:I secret:Q question_ns:Q burst_ns:Q longest_label:I grace:I "
    "proxy_mark:I socket_mark:I proxy_port4:H proxy_port6:H reserved:I gateway4:16s gateway6:16s",
)
ENDPOINT = Layout(
    "endpoint",
    "id:I scope:I slot:I identity:I policy:I flags:I mac:6s gateway_mac:6s address_count:I min_ttl:I search:I "
    "audit_policy:I audit_flags:I addresses:128s",
)
PREFIX_KEY = Layout("prefix_key", "length:I address:16s")
IPCACHE_ENTRY = Layout("ipcache_entry", "identity:I flags:I")
NUMBER = struct.Struct("<I")
POLICY_KEY = Layout("policy_key", "length:I policy:I peer:I direction:B protocol:B port:2s")
POLICY_ENTRY = Layout("policy_entry", "flags:B l4_bits:B reserved:H rules:I")
DNS_RULE_KEY = Layout("dns_rule_key", "rules:I name_class:I")
SERVICE_KEY = Layout("service_key", "address:16s port:H protocol:B reserved:5s")
BACKEND = Layout("backend", "identity:I cidr:I port:H reserved:H")
SERVICE = Layout("service", f"count:I backends:{MAX_BACKENDS * BACKEND.size}s")
CONNECTION_KEY = Layout(
    "connection_key", "local:16s remote:16s local_port:H remote_port:H protocol:B reserved:3s"
)
CONNECTION = Layout(
    "connection", "expires:I created:I generation:I name_class:I direction:B flags:B reserved:H"
)
GRANT_KEY = Layout("grant_key", "address:16s page:I reserved:I")
GRANT_PAGE = Layout("grant_page", "slots:32s")
GRANT_HAND = Layout("grant_hand", "turns:Q size:I evicted:I")
MAINTAIN_REQUEST = Layout(
    "maintain_request", "address:16s operation:I slot:I name_class:I deadline:I page:I reserved:I"
)
FLOW_EVENT = Layout(
    "flow_event",
    "time_ns:Q type:I endpoint:I local:16s remote:16s local_port:H remote_port:H protocol:B direction:B "
    "tcp_flags:B icmp_type:B identity:I policy:I peer:I name_class:I l4_bits:B decided:B reason:H left_out:I "
    "length:I dropped:I",
)
NAME_EVENT = Layout(
    "name_event",
    "time_ns:Q type:I endpoint:I scope:I name_class:I ttl:I flags:I server:16s server_port:H query_type:H "
    "name_length:H address_count:H name:256s",
)

LAYOUTS = [value for value in list(globals().values()) if isinstance(value, Layout)]


def pack_prefix(prefix: Network) -> bytes:
    length = prefix.prefixlen if isinstance(prefix, IPv6Network) else prefix.prefixlen + 96
    return PREFIX_KEY.pack(length, pack_address(prefix.network_address))


def unpack_grants(raw: bytes) -> tuple[int, ...]:
    """Slots: class in the high 32 bits, deadline in the low."""
    return struct.unpack("<4Q", raw)
