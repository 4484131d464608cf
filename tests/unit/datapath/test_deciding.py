"""Which entries stand behind what an event says decided."""

from __future__ import annotations

from namewall.datapath import rows
from namewall.datapath.numbers import Numbers
from namewall.model.flow import Flow
from namewall.model.net import Direction, Protocol
from namewall.policy.map_state import IdentityPeer, MapState, PolicyEntry, PolicyKey, RuleOrigin
from tests.unit.state.flows import flow_event

PEER = 256


def entry(name: str) -> PolicyEntry:
    return PolicyEntry(origins=(RuleOrigin("CiliumNetworkPolicy", "default", name, "spec.egress[0]"),))


STATE = MapState(
    enforce_ingress=False,
    enforce_egress=True,
    entries={
        PolicyKey(Direction.EGRESS, IdentityPeer(PEER), Protocol.TCP, 8080, 16): entry("target"),
        PolicyKey(Direction.EGRESS, IdentityPeer(PEER), Protocol.TCP, 80, 16): entry("packet"),
        PolicyKey(Direction.EGRESS, IdentityPeer(PEER), Protocol.TCP, 1024, 6): entry("range"),
        PolicyKey(Direction.EGRESS, IdentityPeer(PEER)): entry("any"),
    },
)


def names(event: Flow, *backend_ports: int) -> list[str]:
    found = rows.deciding(STATE, event, Numbers(), {}, backend_ports)
    return [origin.name for each in found for origin in each.origins]


def test_the_packets_port_counts_where_there_is_no_service() -> None:
    assert names(flow_event(peer=PEER, remote_port=80, l4_bits=24)) == ["packet"]
    assert names(flow_event(peer=PEER, remote_port=1500, l4_bits=14)) == ["range"]
    assert names(flow_event(peer=PEER, remote_port=80, l4_bits=0)) == ["any"]


def test_at_a_service_the_backends_target_port_counts() -> None:
    assert names(flow_event(peer=PEER, remote_port=80, l4_bits=24), 8080) == ["target"]
    assert names(flow_event(peer=PEER, remote_port=80, l4_bits=14), 1030, 8080) == ["range"]
    assert names(flow_event(peer=PEER, remote_port=80, l4_bits=0), 8080) == ["any"]


def test_another_peer_or_direction_is_another_entry() -> None:
    assert names(flow_event(peer=PEER + 1, remote_port=80, l4_bits=24)) == []
    assert names(flow_event(peer=PEER, local_port=80, l4_bits=24, direction=Direction.INGRESS)) == []
