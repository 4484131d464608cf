"""`namewall explain`: the verdict of one flow, the steps behind it, and for a denial what misses and a patch.

Reads a scenario, or without one the running server (cli/live.py). The core is policy/explain, the words are
review/explain's; here is what the command line names.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from ipaddress import IPv6Address
from typing import Any

import click

from namewall.cli.context import CANNOT, WRONG_USAGE, fail
from namewall.cli.inputs import dumped, texts
from namewall.cli.scenarios import place, say_of_policies
from namewall.model.documents import Document
from namewall.model.names import fqdn, why_not_asked
from namewall.model.near import or_meant
from namewall.model.net import Protocol
from namewall.policy.explain.flow import catalog_of, document, explain
from namewall.policy.scenario import DNS_PORT, Name, Party, Query, Scenario, Service
from namewall.policy.scenario_parse import near_party, parse_party, parse_target, protocol_of
from namewall.review.complaints import Complaint, clean, documents
from namewall.review.explain import lines
from namewall.review.objects import is_scenario
from namewall.review.scenarios import ScenarioFile

_ECHO = {Protocol.ICMP: 8, Protocol.ICMPV6: 128}


@click.command("explain")
@click.argument("file", required=False, metavar="[SCENARIO]")
@click.option("--scenario", "also", metavar="FILE", help="The same as SCENARIO.")
@click.option("--from", "source", metavar="WHO", help="ns/pod, pod/NAME, an address or a reserved name.")
@click.option("--to", "target", metavar="NAME:PORT[/PROTO]", help="A DNS name, pod, svc/NAME or address.")
@click.option("--dns", "question", metavar="NAME", help="A DNS question that is sent over the flow.")
@click.option("-n", "--namespace", metavar="NS", help="The namespace of pod/NAME and svc/NAME.")
@click.option("--at", type=float, metavar="SECONDS", help="When the flow begins, by the scenario's clock.")
@click.option("--kubeconfig", metavar="FILE", help="Without SCENARIO: instead of Namewall's own.")
@click.option(
    "-o", "--output", type=click.Choice(["text", "json", "yaml"]), default="text", show_default=True
)
def explain_command(
    file: str | None,
    also: str | None,
    source: str | None,
    target: str | None,
    question: str | None,
    namespace: str | None,
    at: float | None,
    kubeconfig: str | None,
    output: str,
) -> None:
    """Say why a flow of SCENARIO (or of the running host) is allowed or denied, and what would allow it.

    The flow is `--from … --to …`, or else each query of the scenario. Exit codes: 0 allowed; 1 denied; 2 wrong input.
    """
    if file is not None and also is not None:
        raise click.UsageError("give SCENARIO or --scenario, not both")
    file = file or also
    if (source is None) != (target is None and question is None):
        raise click.UsageError("a flow needs both --from and --to (or --dns)")
    if file is None and source is None:
        raise click.UsageError("give a SCENARIO, or a flow of the running host by --from and --to")
    files = [_live(kubeconfig, source or "", namespace)] if file is None else list(_scenarios(file))
    printed: list[dict[str, Any]] = []
    allowed = True
    for one in files:
        assert one.scenario is not None
        catalog = catalog_of(one.scenario, [p.object for p in one.policies], one.document.value)
        queries = list(one.scenario.queries)
        if source is not None:
            queries = [_query(one.scenario, source, target, question, namespace, at)]
        for query in queries:
            found = explain(one.scenario, catalog, query)
            allowed = allowed and found.allowed
            row = document(catalog, found, one.line_of_rule)
            printed.append({"query": str(query), **row})
            if output == "text":
                if len(printed) > 1:
                    click.echo()
                for line in lines(one, found):
                    click.echo(line)
    if not printed:
        fail(f"{clean(file)} has no query; name a flow by --from and --to", WRONG_USAGE)
    if output != "text":
        click.echo(dumped(printed[0] if len(printed) == 1 else printed, output), nl=False)
    sys.exit(0 if allowed else 1)


def _scenarios(path: str) -> Iterator[ScenarioFile]:
    """The scenarios of one file; one without queries counts too if nothing else is there."""
    broken: list[Complaint] = []
    found = [(source, each) for source, text in texts([path]) for each in documents(source, text, broken)]
    chosen = [pair for pair in found if is_scenario(pair[1])] or [
        pair for pair in found if isinstance(pair[1].value, dict) and "kind" not in pair[1].value
    ]
    files = [place(*pair) for pair in chosen]
    for complaint in [*broken, *(c for one in files for c in one.complaints)]:
        click.echo(str(complaint), err=True)
    if broken or any(one.complaints for one in files):
        sys.exit(WRONG_USAGE)
    if not files:
        fail(f"{clean(path)} holds no scenario; one has `policies` and `endpoints`", WRONG_USAGE)
    for one in files:
        say_of_policies(one)
        yield one


def _live(kubeconfig: str | None, source: str, namespace: str | None) -> ScenarioFile:
    from namewall.cli.kubectl import error_text
    from namewall.cli.live import live_scenario
    from namewall.kube.errors import KubeError

    try:
        value = live_scenario(kubeconfig, source, namespace)
    except KubeError as error:
        fail(error_text(error).removeprefix("error: "), CANNOT)
    found = place("", Document(value, 0, {}))
    if found.scenario is None:
        fail(f"the server's objects are no scenario: {found.complaints[0]}", CANNOT)
    return found


def _query(
    scenario: Scenario,
    source: str,
    target: str | None,
    question: str | None,
    namespace: str | None,
    at: float | None,
) -> Query:
    begins = _party(scenario, source, namespace, "--from")
    if isinstance(begins, Service | Name):
        fail(f"--from: `{clean(source)}` cannot begin a flow; name a pod or an address", WRONG_USAGE)
    if question is not None and (why := why_not_asked(question)) is not None:
        fail(f"--dns: {clean(why)}", WRONG_USAGE)
    port, protocol = None, None
    if target is None:
        servers = scenario.cluster_dns
        if not servers:
            fail("--to: there is no cluster DNS here; name the server", WRONG_USAGE)
        ends: Party = servers[0]
    else:
        try:
            name, port, protocol = _target(target)
        except ValueError as error:
            fail(f"--to: {error}", WRONG_USAGE)
        ends = _party(scenario, name, namespace, "--to")
    protocol = protocol or (Protocol.TCP if question is None else Protocol.UDP)
    if port is None:
        port = DNS_PORT if question is not None else _ECHO.get(protocol)
    if port is None:
        shown = f"[{ends}]" if isinstance(ends, IPv6Address) else clean(target)
        fail(f"--to: `{clean(target)}` needs a port, as `{shown}:443`", WRONG_USAGE)
    if protocol in _ECHO and port > 255:
        fail(f"--to: `{port}` is no type of {protocol.name}; types end at 255", WRONG_USAGE)
    return Query(begins, ends, port, protocol, None if question is None else fqdn(question), at)


def _target(text: str) -> tuple[str, int | None, Protocol | None]:
    """`NAME:PORT[/proto]`, and `NAME/icmp` without a port."""
    name, slash, last = text.rpartition("/")
    if slash and ":" not in last and last.lower() in ("icmp", "icmpv6") and not name.endswith("pod"):
        found, port, _ = parse_target(name)
        return found, port, protocol_of(last)
    return parse_target(text)


def _party(scenario: Scenario, text: str, namespace: str | None, option: str) -> Party:
    kind, slash, name = text.partition("/")
    words = [text]
    if namespace is not None:
        if not slash:
            words = [f"{namespace}/{text}", f"svc/{namespace}/{text}", text]
        elif kind in ("pod", "svc", "service") and "/" not in name:
            words = [f"{kind}/{namespace}/{name}"]
    elif not slash:
        words = [text, f"svc/{text}"]
    try:
        found = next((party for word in words if (party := parse_party(scenario, word)) is not None), None)
    except ValueError as error:
        fail(f"{option}: {error}", WRONG_USAGE)
    if found is None:
        known = ", ".join(f"`{endpoint}`" for endpoint in scenario.endpoints[:8])
        more = f"; endpoints are {known}" if known else ""
        said = f"{option}: `{clean(text)}` is no endpoint, Service, address or DNS name{more}"
        fail(or_meant(said, near_party(scenario, text)), WRONG_USAGE)
    return found
