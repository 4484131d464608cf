"""Names judged and learned in the kernel, with real packets through a real veth."""

from __future__ import annotations

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import dns.message
import dns.rcode
import pytest
from bpf_lab import (
    RESOLVER4,
    RESOLVER6,
    TCP,
    WORLD4,
    WORLD6,
    Lab,
    a,
    allow,
    egress,
    eventually,
    inside,
    names,
    tables,
)

from namewall.datapath import layout, libbpf, objects
from namewall.datapath.base import Options
from namewall.datapath.kernel import KernelDatapath
from namewall.fqdn.automaton import TooManyStates
from namewall.model.flow import Learned, Refused
from namewall.policy.map_state import ALLOW_ALL
from namewall.state.tables import KnownName


def boottime() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def zone(lab: Lab) -> None:
    for number, name in enumerate(("kubernetes.io.", "cilium.io.", "www.kubernetes.io.")):
        lab.server.zone[name, "A"] = [WORLD4[number]]
        lab.server.zone[name, "AAAA"] = [WORLD6[number]]


@pytest.mark.parametrize(
    ("resolver", "kind", "world"),
    [(RESOLVER4, "A", WORLD4), (RESOLVER6, "AAAA", WORLD6), (RESOLVER4, "AAAA", WORLD6)],
)
def test_an_allowed_name_is_learned_and_another_is_refused(
    lab: Lab, resolver: str, kind: str, world: list[str]
) -> None:
    zone(lab)
    pod = lab.pod()
    lab.load()
    lab.apply(tables(names("kubernetes.io."), pod.row()))
    assert not pod.connects(world[0])
    answer = pod.ask("kubernetes.io", kind, server=resolver)
    assert answer is not None
    assert answer.rcode() == dns.rcode.NOERROR
    assert pod.connects(world[0])
    assert not pod.connects(world[0], port=80)
    refused = pod.ask("cilium.io", kind, server=resolver, edns=True)
    assert refused is not None
    assert refused.rcode() == dns.rcode.REFUSED
    assert [option.code for option in refused.options[0:1]] == [15]
    assert not pod.connects(world[1])
    events = lab.datapath.read_events()
    learned = [event for event in events if isinstance(event, Learned)]
    assert [(event.name, event.addresses) for event in learned] == [("kubernetes.io.", (a(world[0]),))]
    assert [event.name for event in events if isinstance(event, Refused)] == ["cilium.io."]


def test_it_all_goes_on_with_no_process(lab: Lab) -> None:
    """Nothing of ours runs: names never asked for before are judged, learned and granted, others refused."""
    zone(lab)
    pod = lab.pod()
    lab.load()
    lab.apply(tables(names("kubernetes.io.", "*.kubernetes.io."), pod.row()))
    lab.datapath.close()
    assert pod.ask("www.kubernetes.io") is not None
    assert pod.connects(WORLD4[2])
    refused = pod.ask("cilium.io")
    assert refused is not None
    assert refused.rcode() == dns.rcode.REFUSED
    assert not pod.connects(WORLD4[1])
    lab.restart()
    events = lab.datapath.read_events()
    assert "www.kubernetes.io." in [event.name for event in events if isinstance(event, Learned)]
    assert [grant.address for grant in lab.datapath.grants()] == [a(WORLD4[2])]


def test_a_restart_changes_nothing(lab: Lab) -> None:
    zone(lab)
    pod = lab.pod()
    lab.load()
    wanted = tables(names("kubernetes.io."), pod.row())
    lab.apply(wanted)
    assert pod.ask("kubernetes.io") is not None
    connection = pod.open(WORLD4[0])
    assert connection is not None
    with connection:
        before = dict(lab.datapath._tables["policies"].rows)
        lab.restart()
        lab.apply(wanted)
        assert dict(lab.datapath._tables["policies"].rows) == before
        assert pod.connects(WORLD4[0])
        connection.sendall(b"still there\n")
        assert connection.recv(100) == b"still there\n"
    assert not pod.connects(WORLD4[1])


def test_lost_numbers_begin_anew_without_a_gap(lab: Lab) -> None:
    """The old programs enforce until the first apply, then the new ones do; what is known is granted again."""
    zone(lab)
    pod = lab.pod()
    lab.load()
    wanted = tables(names("kubernetes.io."), pod.row())
    lab.apply(wanted)
    assert pod.ask("kubernetes.io") is not None
    os.unlink(f"{lab.instance.run_dir}/numbers.json")
    lab.restart()
    assert pod.connects(WORLD4[0])
    assert not pod.connects(WORLD4[1])
    known = KnownName(pod.row().scope, "kubernetes.io.", a(WORLD4[0]), boottime() + 100)
    lab.apply(replace(wanted, known_names=frozenset({known})))
    assert pod.connects(WORLD4[0])
    assert not pod.connects(WORLD4[1])
    epochs = [name for name in os.listdir(lab.instance.pin_dir) if name != "links"]
    assert epochs == [f"{lab.datapath._numbers.epoch:08x}"]


def test_a_question_on_its_way_outlives_its_epoch(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is asked under one layout of the maps and answered under the next, where it also teaches."""
    zone(lab)
    pod = lab.pod()
    lab.load()
    wanted = tables(names("kubernetes.io."), pod.row())
    lab.apply(wanted)
    asked, changed = threading.Event(), threading.Event()

    def late(response: dns.message.Message) -> list[bytes]:
        asked.set()
        changed.wait(5)
        return [response.to_wire()]

    lab.server.rewrite = late
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(pod.ask, "kubernetes.io", timeout=5)
        assert asked.wait(5)
        before = lab.datapath._numbers.epoch
        monkeypatch.setattr(objects, "usable", lambda *_: False)
        lab.restart()
        monkeypatch.undo()
        lab.apply(wanted)
        assert lab.datapath._numbers.epoch != before
        assert not pod.connects(WORLD4[0])
        changed.set()
        assert answer.result() is not None
    assert pod.connects(WORLD4[0])
    lab.restart()
    assert pod.ask("kubernetes.io") is not None


def test_what_a_later_version_must_find_where_it_is() -> None:
    """datapath/succession.py reads these fields of maps of any schema."""
    assert (layout.CONFIG.offset("secret"), layout.CONFIG.fields["secret"]) == (16, "Q")
    assert (layout.ENDPOINT.offset("slot"), layout.ENDPOINT.fields["slot"]) == (8, "I")


def test_the_packets_meet_the_programs(lab: Lab) -> None:
    """Run counters rise, and without the link everything is open."""
    pod = lab.pod()
    lab.load()
    lab.apply(tables(names("kubernetes.io."), pod.row()))
    switch = Path("/proc/sys/kernel/bpf_stats_enabled")
    before_switch = switch.read_text()
    switch.write_text("1")
    try:
        before = lab.datapath.run_counts()
        assert not pod.connects(WORLD4[1])
        after = lab.datapath.run_counts()
    finally:
        switch.write_text(before_switch)
    assert after["from_endpoint"] > before["from_endpoint"]
    with inside(lab.node):
        lab.datapath._attachments.detach(pod.ifindex)
    assert eventually(lambda: pod.connects(WORLD4[1]))


def test_a_policy_edit_under_a_live_connection(lab: Lab) -> None:
    zone(lab)
    pod = lab.pod()
    lab.load()
    lab.apply(tables(names("kubernetes.io.", "cilium.io."), pod.row()))
    for name in ("kubernetes.io", "cilium.io"):
        assert pod.ask(name) is not None
    stays, stops = pod.open(WORLD4[0]), pod.open(WORLD4[1])
    assert stays is not None
    assert stops is not None
    with stays, stops:
        lab.apply(tables(names("kubernetes.io."), pod.row()))
        stays.sendall(b"x")
        assert stays.recv(10) == b"x"
        stops.sendall(b"x")
        with pytest.raises(TimeoutError):
            stops.recv(10)
    assert not pod.connects(WORLD4[1])
    lab.apply(tables(ALLOW_ALL, pod.row()))
    assert pod.connects(WORLD4[1])
    assert pod.connects(WORLD4[1], port=80)


def test_a_connection_outlives_its_grant_but_no_new_one_does(lab: Lab) -> None:
    zone(lab)
    pod = lab.pod()
    lab.load()
    state = names("kubernetes.io.")
    lab.apply(tables(state, pod.row(), min_ttl=1))
    assert pod.ask("kubernetes.io") is not None
    connection = pod.open(WORLD4[0])
    assert connection is not None
    with connection:
        deadline = lab.datapath.grants()[0].deadline
        while boottime() < deadline + 1.1:
            time.sleep(0.1)
        assert not pod.connects(WORLD4[0])
        # What policy depends on changes, so the connection is judged again: its name counts still.
        lab.apply(tables(egress(*state.entries.items(), allow(protocol=TCP, port=9)), pod.row(), min_ttl=1))
        connection.sendall(b"x")
        assert connection.recv(10) == b"x"
        assert lab.datapath.sweep(boottime()) == 0  # the connection needs it
        connection.sendall(b"y")
        assert connection.recv(10) == b"y"
    assert pod.ask("kubernetes.io") is not None
    assert pod.connects(WORLD4[0])


def test_sweeping_frees_what_ended(lab: Lab) -> None:
    zone(lab)
    pod = lab.pod()
    lab.load()
    lab.apply(tables(names("kubernetes.io."), pod.row()))
    assert pod.ask("kubernetes.io") is not None
    assert lab.datapath.sweep(boottime()) == 0
    assert len(lab.datapath.grants()) == 1
    assert lab.datapath.sweep(boottime() + 100) == 1
    assert lab.datapath.grants() == []


def test_a_pattern_added_later_opens_what_was_looked_up_before(lab: Lab) -> None:
    zone(lab)
    pod = lab.pod()
    lab.load()
    row = pod.row()
    lab.apply(tables(names("kubernetes.io.", ask="any"), row))
    assert pod.ask("cilium.io") is not None
    told = [event for event in lab.datapath.read_events() if isinstance(event, Learned)]
    assert [(event.name, event.granted) for event in told] == [("cilium.io.", False)]
    assert not pod.connects(WORLD4[1])
    known = KnownName(told[0].scope, told[0].name, told[0].addresses[0], boottime() + 60)
    wanted = tables(names("kubernetes.io.", "cilium.io.", ask="any"), row, known_names=frozenset({known}))
    lab.apply(wanted)
    assert pod.connects(WORLD4[1])


def test_one_more_policy_leaves_another_endpoints_grants_alone(lab: Lab) -> None:
    """A second policy with a pattern over the same name makes a new class; grants of the old one still count."""
    zone(lab)
    one, two = lab.pod(1), lab.pod(2)
    lab.load()
    lab.apply(tables(names("www.kubernetes.io."), one.row()))
    assert one.ask("www.kubernetes.io") is not None
    first = tables(names("www.kubernetes.io."), one.row(), two.row(policy=2))
    lab.apply(replace(first, policies={**first.policies, 2: names("*.kubernetes.io.")}))
    assert one.connects(WORLD4[2])
    assert not two.connects(WORLD4[2])
    assert two.ask("www.kubernetes.io") is not None
    assert two.connects(WORLD4[2])
    assert one.ask("www.kubernetes.io") is not None
    assert one.connects(WORLD4[2])


def test_apply_again_writes_nothing(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    pod = lab.pod()
    lab.load()
    wanted = tables(names("kubernetes.io.", "*.kubernetes.io."), pod.row())
    lab.apply(wanted)
    generation = lab.datapath._config.generation
    wrote: list[object] = []
    monkeypatch.setattr(libbpf, "update", lambda *args: wrote.append(args))
    lab.apply(wanted)
    assert wrote == []
    assert lab.datapath._config.generation == generation


def test_an_endpoint_that_goes_leaves_nothing(lab: Lab) -> None:
    pod, other = lab.pod(1), lab.pod(2)
    lab.load()
    lab.apply(tables(names("kubernetes.io."), pod.row(), other.row()))
    both = lab.datapath.memory_bytes()
    lab.apply(tables(names("kubernetes.io."), pod.row()))
    assert lab.datapath.memory_bytes() < both
    links = os.listdir(f"{lab.instance.pin_dir}/links")
    assert {int(name.partition("-")[0]) for name in links} == {pod.ifindex}


def test_too_many_states_change_nothing(lab: Lab) -> None:
    zone(lab)
    pod = lab.pod()
    lab.load()
    lab.apply(tables(names("kubernetes.io."), pod.row()))
    forms = [f"*{letter}*.example." for letter in "abcdefghijklmnopqrstuvwx"]
    with pytest.raises(TooManyStates):
        lab.apply(tables(names(*forms), pod.row()))
    assert pod.ask("kubernetes.io") is not None
    assert pod.connects(WORLD4[0])


def test_memory_of_a_small_node(lab: Lab) -> None:
    pods = [lab.pod(number) for number in range(1, 6)]
    lab.load()
    lab.apply(tables(names("kubernetes.io."), *(pod.row() for pod in pods)))
    assert lab.datapath.memory_bytes() < 20e6


def test_unload_leaves_nothing(lab: Lab) -> None:
    pod = lab.pod()
    lab.load()
    lab.apply(tables(names("kubernetes.io."), pod.row()))
    assert not pod.connects(WORLD4[0])
    with inside(lab.node):
        lab.datapath.unload()
    assert eventually(lambda: pod.connects(WORLD4[0]))
    assert not os.path.ismount(lab.instance.bpffs)
    assert not os.path.exists(lab.instance.pin_dir)
    lab.datapath.unload()


def test_a_scope_beyond_its_quota_keeps_what_it_learned_last(lab: Lab) -> None:
    """Addresses granted longest ago go, of this scope alone; what was just answered may be reached."""
    lab.datapath = KernelDatapath(lab.instance, Options(grants=16))
    one, two = lab.pod(1), lab.pod(2)
    lab.load()
    lab.apply(tables(names("*.kubernetes.io."), one.row(), two.row()))
    zone(lab)
    assert two.ask("www.kubernetes.io") is not None
    for number in range(60):
        lab.server.zone[(f"n{number}.kubernetes.io.", "A")] = [f"203.0.113.{100 + number}"]
        assert one.ask(f"n{number}.kubernetes.io") is not None
        held = [grant.address for grant in lab.datapath.grants() if grant.scope == one.row().scope]
        assert a(f"203.0.113.{100 + number}") in held
        assert len(held) <= 16
    assert set(held) == {a(f"203.0.113.{100 + number}") for number in range(44, 60)}
    assert one.ask("www.kubernetes.io") is not None
    assert one.connects(WORLD4[2])
    assert two.connects(WORLD4[2])
    learned = [event for event in lab.datapath.read_events() if isinstance(event, Learned)]
    assert not any(event.full for event in learned)
