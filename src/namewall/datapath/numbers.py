"""Numbers for what rows in the kernel refer to: name classes, sets of DNS rules, CIDR classes, policies.

Grants and connections keep class numbers for as long as they live, whoever wrote them: a number that would come
to mean another set of names would open addresses. So numbers are given out once, and kept in a file that is
written before any map refers to them. The maps carry the `epoch` of their file; maps without it are not read.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterable
from ipaddress import ip_network
from operator import itemgetter
from typing import Any

from namewall.model.net import Network


class Numbers:
    """`changed` is True when something is in here that the file does not have."""

    def __init__(self) -> None:
        self.epoch = 0
        self.classes: dict[frozenset[str], int] = {}
        self.by_selector: dict[str, list[int]] = {}
        """Selector key (`fqdn:FORM`, `dns:FORM`) → the numbers of the classes it is in, rising."""
        self.rules: dict[frozenset[str], int] = {}
        self.prefixes: dict[Network, int] = {}
        self.next_class = self.next_rules = self.next_prefix = self.next_policy = 1
        self.program = ""
        """Which object file the pinned programs are from (a digest)."""
        self.changed = False

    def begin(self) -> None:
        """A new epoch: for maps that start empty."""
        self.__init__()  # type: ignore[misc]
        self.epoch = secrets.randbits(31) | 1
        self.changed = True

    def of_class(self, selectors: frozenset[str]) -> int:
        number = self.classes.get(selectors)
        if number is None:
            number = self.next_class
            self._note_class(selectors, number)
            self.next_class += 1
            self.changed = True
        return number

    def _note_class(self, selectors: frozenset[str], number: int) -> None:
        self.classes[selectors] = number
        for selector in selectors:
            self.by_selector.setdefault(selector, []).append(number)

    def of_rules(self, forms: frozenset[str]) -> int:
        number = self.rules.get(forms)
        if number is None:
            number = self.rules[forms] = self.next_rules
            self.next_rules += 1
            self.changed = True
        return number

    def of_prefix(self, prefix: Network) -> int:
        number = self.prefixes.get(prefix)
        if number is None:
            number = self.prefixes[prefix] = self.next_prefix
            self.next_prefix += 1
            self.changed = True
        return number

    def new_policy(self) -> int:
        self.next_policy += 1
        self.changed = True
        return self.next_policy - 1

    def forget_classes(self, used: Iterable[int]) -> None:
        """Classes that nothing refers to any more; their numbers are not given out again."""
        kept = set(used)
        gone = [selectors for selectors, number in self.classes.items() if number not in kept]
        numbers = {self.classes.pop(selectors) for selectors in gone}
        for selector in frozenset().union(*gone):
            left = [number for number in self.by_selector.pop(selector) if number not in numbers]
            if left:
                self.by_selector[selector] = left
        self.changed = self.changed or bool(gone)

    def forget_rules(self, used: Iterable[frozenset[str]]) -> None:
        kept = set(used)
        self.rules = {forms: number for forms, number in self.rules.items() if forms in kept}

    def dump(self) -> dict[str, Any]:
        return {
            "epoch": self.epoch,
            "program": self.program,
            "next": [self.next_class, self.next_rules, self.next_prefix, self.next_policy],
            "classes": [[sorted(selectors), number] for selectors, number in self.classes.items()],
            "rules": [[sorted(forms), number] for forms, number in self.rules.items()],
            "prefixes": [[str(prefix), number] for prefix, number in self.prefixes.items()],
        }

    def restore(self, raw: dict[str, Any]) -> None:
        self.epoch, self.program = raw["epoch"], raw["program"]
        self.next_class, self.next_rules, self.next_prefix, self.next_policy = raw["next"]
        self.classes, self.by_selector = {}, {}
        for selectors, number in sorted(raw["classes"], key=itemgetter(1)):
            self._note_class(frozenset(selectors), number)
        self.rules = {frozenset(forms): number for forms, number in raw["rules"]}
        self.prefixes = {ip_network(prefix): number for prefix, number in raw["prefixes"]}
        self.changed = False


def read_numbers(path: str) -> Numbers:
    """An empty one (epoch 0) where there is no readable file: then no pinned map belongs to it."""
    numbers = Numbers()
    try:
        with open(path, encoding="utf-8") as file:
            numbers.restore(json.load(file))
    except (OSError, ValueError, KeyError, TypeError):
        return Numbers()
    return numbers


def write_numbers(path: str, numbers: Numbers) -> None:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(f"{path}.new", "w", encoding="utf-8") as file:
        file.write(json.dumps(numbers.dump()))  # `dump` would encode in Python, ten times slower
        file.flush()
        os.fsync(file.fileno())
    os.replace(f"{path}.new", path)
    numbers.changed = False
