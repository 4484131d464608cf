"""One label set, one number; numbers rest before they come back."""

import pytest

from namewall.model.identity import FIRST_POD_IDENTITY
from namewall.state.identities import LAST_POD_IDENTITY, Identities


def labels(*text: str) -> frozenset[str]:
    return frozenset(text)


def test_same_labels_have_the_same_number() -> None:
    identities = Identities()
    assert identities.number(labels("k8s:app=a")) == identities.number(labels("k8s:app=a"))
    assert identities.number(labels("k8s:app=b")) != identities.number(labels("k8s:app=a"))


def test_known_numbers_are_kept_after_a_restart() -> None:
    identities = Identities([(300, labels("k8s:app=a")), (301, labels("k8s:app=b"))])
    assert identities.number(labels("k8s:app=b")) == 301
    assert identities.number(labels("k8s:app=c")) == 302


def test_a_free_number_is_not_the_next_one_given() -> None:
    identities = Identities()
    first = identities.number(labels("k8s:app=a"))
    assert identities.keep([]) == [first]
    assert identities.number(labels("k8s:app=b")) == first + 1


def test_numbers_go_round_and_end_with_an_error() -> None:
    span = LAST_POD_IDENTITY - FIRST_POD_IDENTITY + 1
    identities = Identities((FIRST_POD_IDENTITY + n, labels(f"k8s:n={n}")) for n in range(span))
    with pytest.raises(OverflowError, match="in use"):
        identities.number(labels("k8s:app=a"))
    identities.keep(labels(f"k8s:n={n}") for n in range(1, span))
    assert identities.number(labels("k8s:app=a")) == FIRST_POD_IDENTITY
