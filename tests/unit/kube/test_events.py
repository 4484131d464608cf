"""What becomes of happenings that are reported."""

from __future__ import annotations

from namewall.kube.events import BURST, PREFIX, SIMILAR_MESSAGES, Correlator, reference

POD = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "n", "uid": "u"}}
ABOUT = reference(POD)


def test_a_reference_is_taken_from_an_object_or_passes_through() -> None:
    assert ABOUT == {"apiVersion": "v1", "kind": "Pod", "namespace": "n", "name": "p", "uid": "u"}
    assert reference(dict(ABOUT)) == ABOUT


def test_the_same_again_raises_the_count_of_the_same_event() -> None:
    correlator = Correlator("me")
    first = correlator.observe(ABOUT, "Normal", "Started", "m", 100.0)
    again = correlator.observe(ABOUT, "Normal", "Started", "m", 160.0)
    assert first is again
    assert again is not None
    body = correlator.body(again, ABOUT, "Normal", "Started")
    assert (body["count"], body["firstTimestamp"], body["lastTimestamp"]) == (
        2,
        "1970-01-01T00:01:40Z",
        "1970-01-01T00:02:40Z",
    )
    assert correlator.patch(again)["count"] == 2


def test_another_message_or_type_is_another_event() -> None:
    correlator = Correlator("me")
    names = {
        recorded.name
        for now, (kind, message) in enumerate([("Normal", "a"), ("Normal", "b"), ("Warning", "a")])
        if (recorded := correlator.observe(ABOUT, kind, "R", message, float(now)))
    }
    assert len(names) == 3


def test_many_similar_ones_become_one() -> None:
    correlator = Correlator("me")
    last = [correlator.observe(ABOUT, "Normal", "R", f"m{n}", n) for n in range(SIMILAR_MESSAGES + 3)]
    assert [recorded.count for recorded in last if recorded] == [1] * (SIMILAR_MESSAGES) + [3, 3, 3]
    assert last[-1] is not None
    assert last[-1].message == f"{PREFIX}m{SIMILAR_MESSAGES + 2}"


def test_one_object_cannot_flood_and_others_are_heard() -> None:
    correlator = Correlator("me")
    heard = sum(correlator.observe(ABOUT, "Normal", "R", "m", 0.0) is not None for _ in range(100))
    assert heard == BURST
    assert correlator.observe(ABOUT, "Normal", "R", "m", 301.0) is not None
    assert correlator.observe({**ABOUT, "uid": "other"}, "Normal", "R", "m", 0.0) is not None


def test_what_is_forgotten_begins_anew() -> None:
    correlator = Correlator("me")
    first = correlator.observe(ABOUT, "Normal", "R", "m", 0.0)
    assert first is not None
    correlator.forget(first)
    again = correlator.observe(ABOUT, "Normal", "R", "m", 1.0)
    assert again is not None
    assert again.count == 1


def test_a_cluster_wide_object_has_its_events_in_default() -> None:
    recorded = Correlator("me").observe({"kind": "Node", "name": "n"}, "Normal", "R", "m", 0.0)
    assert recorded is not None
    assert recorded.namespace == "default"
