"""Indexes of identities, selectors and prefixes, against asking each one: after any changes, in any order."""

from __future__ import annotations

import random
from ipaddress import ip_network

import pytest

from namewall.model.labels import RESERVED_LABELS, Labels
from namewall.model.net import Network
from namewall.policy.classes import Classes
from namewall.policy.identity_index import IdentityIndex
from namewall.policy.map_state import CidrPeer
from namewall.policy.selector_index import SelectorIndex
from namewall.policy.selectors import WILDCARD, CidrSelector, LabelSelector, Requirement

KEYS, VALUES = ("app", "role", "tier"), ("a", "b", "")
SEEDS = range(6)


def labels(chance: random.Random) -> Labels:
    keys = chance.sample(KEYS, chance.randint(0, 3))
    pairs = [(key, chance.choice(VALUES)) for key in keys]
    return frozenset({"k8s:ns=x", *(f"k8s:{key}={value}" if value else f"k8s:{key}" for key, value in pairs)})


def selector(chance: random.Random) -> LabelSelector:
    def requirement() -> Requirement:
        operator = chance.choice(("In", "NotIn", "Exists", "DoesNotExist"))
        values = (
            frozenset(chance.sample(VALUES, chance.randint(1, 2))) if operator.endswith("In") else frozenset()
        )
        return Requirement(chance.choice(("any", "k8s", "reserved")), chance.choice(KEYS), operator, values)

    return LabelSelector(tuple(requirement() for _ in range(chance.randint(0, 3))))


@pytest.mark.parametrize("seed", SEEDS)
def test_an_identity_index_is_every_identity_asked(seed: int) -> None:
    chance = random.Random(seed)
    index, known = IdentityIndex(), dict(RESERVED_LABELS)
    asked: set[LabelSelector] = set()
    for _ in range(250):
        number, new = chance.choice((256, 257, 300, 400, 500, 600, 700, 800, 900, 1000)), labels(chance)
        match chance.choice(("add", "add", "remove", "ask", "forget" if chance.random() < 0.2 else "ask")):
            case "add":
                assert index.add(number, new) == (known.get(number) != new)
                known[number] = new
            case "remove":
                assert index.remove(number) == (known.pop(number, None) is not None)
            case "forget":
                unused = set(chance.sample(sorted(asked, key=str), len(asked) // 2))
                index.forget_selectors(unused)
                asked -= unused
            case _:
                asked.add(selector(chance))
        for each in asked:
            assert set(index.select(each)) == {n for n, has in known.items() if each.matches(has)}
        assert dict(index.numbers()) == known
        assert index.labels(number) == known.get(number, frozenset())
        assert set(index.kept_selecting(new)) == {each for each in asked if each.matches(new)}
    assert index.kept_selecting(frozenset()) == []


@pytest.mark.parametrize("seed", SEEDS)
def test_a_selector_index_is_every_selector_asked(seed: int) -> None:
    chance = random.Random(seed)
    index, known = SelectorIndex(), set()
    for _ in range(300):
        each = selector(chance)
        if chance.random() < 0.6:
            index.add(each)
            known.add(each)
        elif known:
            each = chance.choice(sorted(known, key=str))
            index.discard(each)
            known.discard(each)
        index.discard(LabelSelector((Requirement("any", "never", "Exists"),)))
        assert set(index) == known
        assert (each in index) == (each in known)
        found = labels(chance)
        selecting = index.selecting(found)
        assert sorted(map(str, selecting)) == sorted(str(each) for each in known if each.matches(found))


def prefix(chance: random.Random) -> Network:
    if chance.random() < 0.3:
        return ip_network(
            (0x20010DB8 << 96 | chance.randint(0, 3) << 64, chance.choice((0, 32, 64, 127, 128))),
            strict=False,
        )
    return ip_network(
        (0xC6336400 | chance.randint(0, 15) << 4, chance.choice((0, 24, 26, 28, 31, 32))), strict=False
    )


@pytest.mark.parametrize("seed", SEEDS)
def test_classes_are_every_prefix_asked(seed: int) -> None:
    chance = random.Random(seed)
    known = {prefix(chance) for _ in range(5)}
    classes = Classes(IdentityIndex(), known)
    asked: set[CidrSelector] = set()
    for _ in range(150):
        each = prefix(chance)
        match chance.choice(
            ("add", "add", "remove", "ask", "ask", "forget" if chance.random() < 0.2 else "ask")
        ):
            case "add":
                known.add(each)
                told = classes.add_prefix(each)
                assert set(told) == {s for s in asked if s.selects(each)}
            case "remove":
                known.discard(each)
                told = classes.remove_prefix(each)
                assert set(told) == {s for s in asked if s.selects(each)}
            case "forget":
                unused = set(chance.sample(sorted(asked, key=str), len(asked) // 2))
                classes.forget_cidrs(unused)
                asked -= unused
            case _:
                excepts = tuple(prefix(chance) for _ in range(chance.randint(0, 2)))
                asked.add(CidrSelector(each, excepts, pods=chance.random() < 0.3))
        assert classes.prefixes() == known
        for one in asked:
            wanted = {CidrPeer(p, one.pods) for p in known if one.selects(p)}
            assert set(classes.cidrs(one)) == wanted
            fresh = Classes(IdentityIndex(), known)
            assert set(fresh.cidrs(one)) == wanted
    if asked:
        classes.forget_cidrs(asked)
        assert classes.add_prefix(ip_network("0.0.0.0/0")) == []


def test_addressless_blocks_are_identities() -> None:
    own = WILDCARD.with_label("k8s", "app", "a")
    index = IdentityIndex({256: frozenset({"k8s:app=a"}), 257: frozenset({"k8s:app=b"})})
    block = CidrSelector(ip_network("10.0.0.0/8"), pods=True, unaddressed=own)
    plain = CidrSelector(ip_network("10.0.0.0/8"))
    for addressless, expected in ((True, {256}), (False, set())):
        classes = Classes(index, addressless=addressless)
        assert {peer.number for peer in index.peers(classes.identities(block))} == expected
        assert classes.identities(plain) == 0
        assert {peer.number for peer in index.peers(classes.identities(own))} == {256}
