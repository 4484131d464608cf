"""What `observe` asks for, and how it prints what it hears."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import pytest
from click.testing import CliRunner

from namewall.cli.flow_text import SEPARATOR, FlowText, escaped
from namewall.cli.main import main
from namewall.cli.observe import _mark, _moment, _request, observe_command
from namewall.cli.observe_filters import Flag, build
from namewall.model.flow import DropReason, MatchType
from namewall.model.net import Direction
from namewall.state.flow_filter import compile_filters
from namewall.state.flow_json import flow_dict
from namewall.state.observed import EventKind, Observed, Verdict
from tests.unit.state.flows import BACKEND, DNS_SERVICE, WORLD6, a, allowed, answer, denied, ingress, refused

UUID = "00000000-0000-0001-0000-000000000001"


def line(flow: Observed, **options: Any) -> str:
    return FlowText(**options).compact(flow_dict(flow, "node1", UUID))


def test_compact_lines_are_hubbles() -> None:
    assert [line(flow) for flow in LINES] == [text for text in GOLDEN.splitlines() if text]


LINES = (
    allowed(),
    denied(),
    denied(times=5, match=MatchType.L3_ONLY, reason=DropReason.POLICY_DENY),
    ingress(),
    allowed(kind=EventKind.TRACE, match=MatchType.NONE),
    ingress(kind=EventKind.TRACE, match=MatchType.NONE),
    denied(kind=EventKind.DROP, reason=DropReason.INVALID_SOURCE_IP, reply=None),
    denied(kind=EventKind.DROP, reason=DropReason.DNS_MALFORMED, reply=None),
    answer(),
    refused(),
    denied(verdict=Verdict.AUDIT, reason=None),
    allowed(
        destination=WORLD6,
        destination_ip=a("2001:db8::7"),
        source_ip=a("fd4e:5741:1::3"),
        source=replace(BACKEND, pod="", namespace=""),
    ),
    allowed(destination=DNS_SERVICE, destination_ip=a("10.220.0.10"), destination_port=53),
)
GOLDEN = """
Nov 23 12:00:00.123: default/backend-7d4b9-x2x:41234 (ID:257) -> kubernetes.io:443 (world) policy-verdict:L3-L4 EGRESS ALLOWED (TCP Flags: SYN)
Nov 23 12:00:00.123: default/backend-7d4b9-x2x:41234 (ID:257) -> cilium.io:443 (world) policy-verdict:none EGRESS DENIED (TCP Flags: SYN)
Nov 23 12:00:00.123: default/backend-7d4b9-x2x:41234 (ID:257) -> cilium.io:443 (world) policy-verdict:L3-Only EGRESS DENIED (TCP Flags: SYN; 4 more like it)
Nov 23 12:00:00.123: web/frontend-5f6c8-aaa:41234 (ID:259) -> default/backend-7d4b9-x2x:8080 (ID:257) policy-verdict:L3-L4 INGRESS ALLOWED (TCP Flags: SYN)
Nov 23 12:00:00.123: default/backend-7d4b9-x2x:41234 (ID:257) -> kubernetes.io:443 (world) to-stack FORWARDED (TCP Flags: SYN)
Nov 23 12:00:00.123: web/frontend-5f6c8-aaa:41234 (ID:259) -> default/backend-7d4b9-x2x:8080 (ID:257) to-endpoint FORWARDED (TCP Flags: SYN)
Nov 23 12:00:00.123: default/backend-7d4b9-x2x:41234 (ID:257) <> cilium.io:443 (world) Invalid source ip DROPPED (TCP Flags: SYN)
Nov 23 12:00:00.123: default/backend-7d4b9-x2x:41234 (ID:257) <> cilium.io:443 (world) DNS malformed DROPPED (TCP Flags: SYN)
Nov 23 12:00:00.123: default/backend-7d4b9-x2x (ID:257) <- kube-system/kube-dns:53 (ID:256) dns-response kernel FORWARDED (DNS Answer "203.0.113.7,203.0.113.8" TTL: 60 (Kernel kubernetes.io. A))
Nov 23 12:00:00.123: default/backend-7d4b9-x2x (ID:257) -> kube-system/kube-dns:53 (ID:256) dns-request kernel DROPPED (DNS Query cilium.io. AAAA)
Nov 23 12:00:00.123: default/backend-7d4b9-x2x:41234 (ID:257) -> cilium.io:443 (world) policy-verdict:none EGRESS AUDITED (TCP Flags: SYN)
Nov 23 12:00:00.123: [fd4e:5741:1::3]:41234 (ID:257) -> [2001:db8::7]:443 (world) policy-verdict:L3-L4 EGRESS ALLOWED (TCP Flags: SYN)
Nov 23 12:00:00.123: default/backend-7d4b9-x2x:41234 (ID:257) -> kube-system/kube-dns:53 (ID:256) policy-verdict:L3-L4 EGRESS ALLOWED (TCP Flags: SYN)
"""  # noqa: E501


def test_options_of_a_line() -> None:
    flow = allowed()
    assert line(flow, names=False, node=True).startswith(
        "Nov 23 12:00:00.123 [node1]: 10.219.0.3:41234 (ID:257) -> "
    )
    assert line(flow, policies=True).endswith("(TCP Flags: SYN; by default/egress-fqdn spec.egress[1])")
    refusal = flow_dict(denied(), "node1", UUID, ours=True)
    assert FlowText(policies=True).compact(refusal).endswith("; by default deny of default/egress-fqdn)")
    assert "\x1b[32mALLOWED\x1b[0m" in line(flow, colour=True)
    assert "\x1b[31mDENIED\x1b[0m" in line(denied(), colour=True)
    times = {"RFC3339": "12:00:00Z", "RFC3339Nano": "00.123456789Z", "RFC3339Micro": "00.123456Z"}
    for form, end in times.items():
        assert line(flow, time_format=form).split(": ")[0].endswith(end)


def test_dict_output() -> None:
    assert FlowText().dict(flow_dict(denied(), "node1", UUID)) == (
        "  TIMESTAMP: Nov 23 12:00:00.123\n"
        "     SOURCE: default/backend-7d4b9-x2x:41234\n"
        "DESTINATION: cilium.io:443\n"
        "       TYPE: policy-verdict:none EGRESS\n"
        "    VERDICT: DENIED\n"
        "    SUMMARY: TCP Flags: SYN"
    )
    assert len(SEPARATOR) == 12


def test_names_of_workloads_cannot_speak_to_the_terminal() -> None:
    evil = "\x1b]0;owned\x07\u202eoi.\n"
    flow = flow_dict(allowed(destination=replace(WORLD6, names=(evil,))), "no\x1bde", UUID)
    flow["l7"] = {"type": "REQUEST", "dns": {"query": evil, "observation_source": "\x1b[2J"}}
    flow["Summary"] = f"DNS Query {evil}"
    text = FlowText(node=True)
    for printed in (text.compact(flow), *text.row(flow)):
        assert printed.isprintable()
    assert all(part.isprintable() for part in text.dict(flow).split("\n"))
    assert escaped("é\x00\u202e") == "é\\x00\\u202e"


@pytest.mark.parametrize(
    ("flags", "allow", "deny"),
    [
        ([], [], []),
        (
            [Flag("pod", "web")],
            [{"source_pod": ["web"]}, {"destination_pod": ["web"]}],
            [],
        ),
        ([Flag("from-pod", "ns/web")], [{"source_pod": ["ns/web"]}], []),
        (
            [Flag("from-pod", "web"), Flag("from-namespace", "a"), Flag("from-namespace", "b")],
            [{"source_pod": ["a/web", "b/web"]}],
            [],
        ),
        (
            [Flag("namespace", "default")],
            [{"source_pod": ["default/"]}, {"destination_pod": ["default/"]}],
            [],
        ),
        ([Flag("all-namespaces", "")], [{"source_pod": ["/"]}, {"destination_pod": ["/"]}], []),
        ([Flag("verdict", "DROPPED,AUDIT")], [{"verdict": ["DROPPED", "AUDIT"]}], []),
        (
            [Flag("to-fqdn", "*.io"), Flag("verdict", "DROPPED", True), Flag("to-port", "53", True)],
            [{"destination_fqdn": ["*.io"]}],
            [{"verdict": ["DROPPED"], "destination_port": ["53"]}],
        ),
        (
            [Flag("type", "trace:to-stack")],
            [{"event_type": [{"type": 4, "match_sub_type": True, "sub_type": 3}]}],
            [],
        ),
        ([Flag("to-identity", "world")], [{"destination_identity": [2, 9, 10]}], []),
        ([Flag("ip-version", "v6")], [{"ip_version": ["IPv6"]}], []),
        (
            [Flag("from-workload", "Deployment/web")],
            [{"source_workload": [{"kind": "Deployment", "name": "web"}]}],
            [],
        ),
    ],
)
def test_flags_become_hubbles_filters(flags: list[Flag], allow: list[Any], deny: list[Any]) -> None:
    assert build(flags) == (allow, deny)
    compile_filters(allow, deny)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([Flag("pod", "a"), Flag("from-pod", "b")], "--pod and --from-pod cannot be combined"),
        (
            [Flag("namespace", "a"), Flag("to-namespace", "b")],
            "--namespace and --to-namespace cannot be combined",
        ),
        ([Flag("type", "packet")], "--type: `packet` is no event type; write one of drop"),
        ([Flag("identity", "me")], "--identity: `me` is no identity; write a number or one of unknown, host"),
    ],
)
def test_flags_that_do_not_fit(flags: list[Flag], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        build(flags)


def asked(*args: str) -> dict[str, Any]:
    """The request of a command line."""
    context = observe_command.make_context("observe", list(args))
    options = dict(context.params)
    own = [options.pop(name) for name in ("follow", "last", "first", "every")]
    return _request(own[0], own[1], own[2], own[3], options)


def test_what_a_command_line_asks_for() -> None:
    plain = {"follow": False, "whitelist": [], "blacklist": []}
    assert asked() == {**plain, "number": 20}
    assert asked("-f") == {**plain, "follow": True}
    assert asked("-f", "--last", "5") == {**plain, "follow": True, "number": 5}
    assert asked("--first", "3") == {**plain, "number": 3, "first": True}
    assert asked("--all") == plain
    assert asked("--since", "2026-11-23T12:00:00Z") == {**plain, "since": "2026-11-23T12:00:00.000000Z"}
    assert asked("-4", "--not", "-n", "kube-system", "--not", "--verdict=DROPPED") == {
        **plain,
        "number": 20,
        "whitelist": [{"ip_version": ["IPv4"]}],
        "blacklist": [
            {"verdict": ["DROPPED"], "source_pod": ["kube-system/"]},
            {"verdict": ["DROPPED"], "destination_pod": ["kube-system/"]},
        ],
    }


def test_not_turns_only_the_next_filter_around() -> None:
    assert _mark(["--not", "--pod", "a", "--pod", "b"]) == ["--pod", "\0a", "--pod", "b"]
    assert _mark(["--not", "-na", "-l", "x"]) == ["-n\0a", "-l", "x"]


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--not"], "--not stands at the end"),
        (["--not", "--not", "--pod", "x"], "--not stands twice in a row"),
        (["--not", "pod"], "`pod` is none"),
        (["--last", "1", "--first", "1"], "--first and --last cannot be combined"),
        (["--since", "yesterday"], "--since: `yesterday` is no time; write as 5m"),
        (["-o", "table", "-f"], "-o table cannot follow"),
        (["--identity", "x"], "--identity: `x` is no identity"),
    ],
)
def test_wrong_usage_is_told_and_ends_with_2(args: list[str], message: str) -> None:
    done = CliRunner().invoke(main, ["observe", *args])
    assert done.exit_code == 2
    assert message in done.output + done.stderr


def test_durations_are_so_long_ago() -> None:
    assert _moment("since", "2026-11-23") == "2026-11-23T00:00:00.000000Z"
    assert _moment("since", "2026-11-23T13:00:00+01:00") == "2026-11-23T12:00:00.000000Z"
    early, late = _moment("since", "1h30m"), _moment("since", "500ms")
    assert early < late


def test_without_an_agent_it_says_so_and_ends_with_3(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NAMEWALL_ROOT", str(tmp_path))
    for verb in (["observe"], ["observe", "-f"], ["policy", "get"]):
        done = CliRunner().invoke(main, verb)
        assert done.exit_code == 3
        assert "the agent does not answer at" in done.stderr
        assert "namewall up" in done.stderr


def test_audit_and_directions_have_words() -> None:
    flow = flow_dict(denied(direction=Direction.INGRESS, verdict=Verdict.AUDIT), "n", UUID)
    assert json.loads(json.dumps(flow))["verdict"] == "AUDIT"
