"""Names judged and learned in the kernel, with real packets through a real veth."""

from __future__ import annotations

import dns.rcode
import pytest
from bpf_lab import RESOLVER4, RESOLVER6, WORLD4, WORLD6, Lab, a, names, tables

from namewall.model.flow import Learned, Refused


def zone(lab: Lab) -> None:
    for number, name in enumerate(("kubernetes.io.", "cilium.io.", "www.kubernetes.io.")):
        lab.server.zone[name, "A"] = [WORLD4[number]]
        lab.server.zone[name, "AAAA"] = [WORLD6[number]]


@pytest.mark.parametrize("resolver", [RESOLVER4, RESOLVER6])
def test_an_allowed_name_is_learned_and_another_is_refused(lab: Lab, resolver: str) -> None:
    zone(lab)
    pod = lab.pod()
    lab.load()
    lab.apply(tables(names("kubernetes.io."), pod.row()))
    assert not pod.connects(WORLD4[0])
    answer = pod.ask("kubernetes.io", server=resolver)
    assert answer is not None
    assert answer.rcode() == dns.rcode.NOERROR
    assert pod.connects(WORLD4[0])
    assert not pod.connects(WORLD4[0], port=80)
    refused = pod.ask("cilium.io", server=resolver, edns=True)
    assert refused is not None
    assert refused.rcode() == dns.rcode.REFUSED
    assert [option.code for option in refused.options[0:1]] == [15]
    assert not pod.connects(WORLD4[1])
    events = lab.datapath.read_events()
    learned = [event for event in events if isinstance(event, Learned)]
    assert [(event.name, event.addresses) for event in learned] == [("kubernetes.io.", (a(WORLD4[0]),))]
    assert [event.name for event in events if isinstance(event, Refused)] == ["cilium.io."]
