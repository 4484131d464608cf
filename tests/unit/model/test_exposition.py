"""Prometheus' text, read back by Prometheus' own parser."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from namewall.model.drop_words import drop_words
from namewall.model.exposition import Family, counter, gauge, render
from namewall.model.flow import DropReason


def test_what_is_rendered_is_read_back() -> None:
    evil = 'a"b\\c\nd'
    text = render(
        [
            gauge("up", "Whether it is", 1),
            counter("seen_total", "How many were seen", 12.5),
            Family(
                "drops_total",
                "counter",
                "Drops",
                [({"reason": evil, "b": "x"}, 3), ({"reason": "", "b": ""}, 0)],
            ),
            Family("none_total", "counter", "No sample yet", []),
            Family(
                "took_seconds",
                "summary",
                "How long",
                parts={"_sum": [({"v": "x"}, 0.5)], "_count": [({"v": "x"}, 2)]},
            ),
        ]
    )
    found = {family.name: family for family in text_string_to_metric_families(text)}
    assert [family.type for family in found.values()] == ["gauge", "counter", "counter", "counter", "summary"]
    assert found["up"].samples[0].value == 1
    assert found["seen"].samples[0].value == 12.5
    assert found["drops"].samples[0].labels == {"reason": evil, "b": "x"}
    assert found["none"].samples == []
    assert {sample.name: sample.value for sample in found["took_seconds"].samples} == {
        "took_seconds_sum": 0.5,
        "took_seconds_count": 2,
    }


def test_every_drop_reason_has_words() -> None:
    assert drop_words(DropReason.POLICY_DENIED) == "Policy denied"
    assert drop_words(DropReason.DHCP_SERVER) == "DHCP server"
    for reason in DropReason:
        assert drop_words(reason)[0].isupper()
        assert "_" not in drop_words(reason)
