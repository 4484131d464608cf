"""`namewall observe`: the node's flows, with Hubble's flags and outputs.

With -f it outlives the agent: it says when the agent goes away and, when it is back, what was lost meanwhile.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import click

from namewall.cli.agent_client import AgentAway, AgentClient, AgentError
from namewall.cli.context import WRONG_USAGE, fail, instance
from namewall.cli.duration import seconds
from namewall.cli.flow_text import SEPARATOR, TIME_FORMATS, FlowText
from namewall.cli.observe_filters import Flag, build
from namewall.cli.output_tabs import Table

NOT = "\0"
"""Marks a value that `--not` stood before; no argument can hold it."""
LAST = 20
AGAIN = 0.3
"""Seconds between looks for an agent that went away."""

_FILTERS: tuple[tuple[tuple[str, ...], str], ...] = (
    (("--pod",), "Flows of pods whose name begins so: [NAMESPACE/]NAME, `default` without one."),
    (("--from-pod",), "Flows from such pods."),
    (("--to-pod",), "Flows to such pods."),
    (("--namespace", "-n"), "Flows of this namespace."),
    (("--from-namespace",), "Flows from this namespace."),
    (("--to-namespace",), "Flows to this namespace."),
    (("--label", "-l"), "Flows of endpoints with these labels, as app=web or reserved:world."),
    (("--from-label",), "Flows from such endpoints."),
    (("--to-label",), "Flows to such endpoints."),
    (("--ip",), "Flows of an address or prefix."),
    (("--from-ip",), "Flows from it."),
    (("--to-ip",), "Flows to it."),
    (("--ip-version",), "v4 or v6."),
    (("--fqdn",), "Flows of addresses learned under a name; * stands for any characters."),
    (("--from-fqdn",), "Flows from them."),
    (("--to-fqdn",), "Flows to them."),
    (("--dns-query",), "DNS questions and answers whose name this regular expression is found in."),
    (("--port",), "Flows with this port at either end."),
    (("--from-port",), "Flows from this port."),
    (("--to-port",), "Flows to this port."),
    (("--protocol",), "tcp, udp, icmp, icmpv4, icmpv6, sctp, dns."),
    (("--tcp-flags",), "Flows whose first packet had these flags, as SYN or SYN,ACK."),
    (("--verdict",), "FORWARDED, DROPPED, AUDIT."),
    (("--drop-reason-desc",), "A drop reason, as POLICY_DENIED."),
    (("--type", "-t"), "policy-verdict, drop, trace, l7; with a sub-type as trace:to-stack."),
    (("--identity",), "Flows of an identity: a number, or world, host, …"),
    (("--from-identity",), "Flows from it."),
    (("--to-identity",), "Flows to it."),
    (("--service",), "Flows of a Service: [NAMESPACE/]NAME, a beginning of it."),
    (("--from-service",), "Flows from it."),
    (("--to-service",), "Flows to it."),
    (("--workload",), "Flows of a workload: [KIND/]NAME."),
    (("--from-workload",), "Flows from it."),
    (("--to-workload",), "Flows to it."),
    (("--traffic-direction",), "ingress or egress."),
    (("--policy",), "Flows that this policy decided: [NAMESPACE/]NAME."),
)


class _Observe(click.Command):
    """Reads `--not` by its place: it turns the next filter around."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(ctx, _mark(args))


def _mark(args: Sequence[str]) -> list[str]:
    found: list[str] = []
    state = ""  # "not": the next flag is turned around; "value": its value comes next
    for arg in args:
        if state == "value":
            found.append(NOT + arg)
            state = ""
        elif arg == "--not":
            if state:
                raise click.UsageError("--not stands twice in a row")
            state = "not"
        elif state == "not":
            if not arg.startswith("-"):
                raise click.UsageError(
                    f"--not stands before a filter, as --not --verdict DROPPED; `{arg}` is none"
                )
            name, equals, value = arg.partition("=")
            if arg.startswith("--") and equals:
                found.append(f"{name}={NOT}{value}")
                state = ""
            elif not arg.startswith("--") and len(arg) > 2:
                found.append(f"{arg[:2]}{NOT}{arg[2:]}")
                state = ""
            else:
                found.append(arg)
                state = "value"
        else:
            found.append(arg)
    if state:
        raise click.UsageError("--not stands at the end; write as --not --verdict DROPPED")
    return found


def _filters(command: click.Command) -> click.Command:
    for names, words in _FILTERS:
        metavar = names[0].removeprefix("--").split("-")[-1].upper()
        command.params.append(click.Option(names, multiple=True, metavar=metavar, help=words))
    return command


@click.command("observe", cls=_Observe)
@click.option("-f", "--follow", is_flag=True, help="Go on with the flows to come.")
@click.option("--last", type=click.IntRange(0), help=f"So many of the newest flows. [{LAST} without -f]")
@click.option("--first", type=click.IntRange(0), help="So many of the oldest flows.")
@click.option("--all", "every", is_flag=True, help="All flows that are kept.")
@click.option("--since", metavar="TIME", help="Flows from then on: 5m, 1h30m, or 2026-11-23T12:00:00Z.")
@click.option("--until", metavar="TIME", help="Flows until then.")
@click.option("--not", "negated", is_flag=True, help="Turns the next filter around.")
@click.option("-A", "--all-namespaces", is_flag=True, help="Flows of pods in any namespace.")
@click.option("-4", "--ipv4", is_flag=True, help="Only IPv4.")
@click.option("-6", "--ipv6", is_flag=True, help="Only IPv6.")
@click.option(
    "-o",
    "--output",
    type=click.Choice(["compact", "dict", "table", "jsonpb", "json"]),
    default="compact",
    show_default=True,
    help="jsonpb has Hubble's fields alone, json also ours.",
)
@click.option("--time-format", type=click.Choice(list(TIME_FORMATS)), default="StampMilli", show_default=True)
@click.option("--ip-translation/--no-ip-translation", default=True, help="Names in the place of addresses.")
@click.option("--numeric", is_flag=True, help="Addresses, not names.")
@click.option("--print-node-name", is_flag=True, help="The node's name on each line.")
@click.option("--print-policy-names", is_flag=True, help="The policies and rules that decided.")
@click.option("--color", type=click.Choice(["auto", "always", "never"]), default="auto", show_default=True)
def observe_command(follow: bool, last: int | None, first: int | None, every: bool, **options: Any) -> None:
    """Show flows: who spoke to whom, under which name, what came of it and by which policy.

    The values of one filter are alternatives; different filters must all hold.
    """
    output = options["output"]
    if output == "table" and follow:
        fail("-o table cannot follow: its columns need all rows; use -o compact", WRONG_USAGE)
    try:
        request = _request(follow, last, first, every, options)
    except ValueError as error:
        fail(str(error), WRONG_USAGE)
    request["namewall"] = output == "json" or (output != "jsonpb" and options["print_policy_names"])
    colour = options["color"] == "always" or (
        options["color"] == "auto" and sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    )
    text = FlowText(
        time_format=options["time_format"],
        names=options["ip_translation"] and not options["numeric"],
        node=options["print_node_name"],
        policies=options["print_policy_names"],
        colour=colour,
    )
    writer = _Writer(output, text)
    try:
        _run(AgentClient(instance()), request, writer)
        writer.finish()
    except AgentAway as away:
        fail(str(away))
    except AgentError as error:
        fail(str(error), WRONG_USAGE)


_filters(observe_command)


def _request(
    follow: bool, last: int | None, first: int | None, every: bool, options: dict[str, Any]
) -> dict[str, Any]:
    """Hubble's GetFlowsRequest."""
    for one, other, clash in (
        ("--first", "--last", first and last),
        ("--first", "--all", first and every),
        ("--first", "--follow", first and follow),
        ("--last", "--all", last and every),
    ):
        if clash:
            raise ValueError(f"{one} and {other} cannot be combined")
    flags = [
        Flag(names[0].removeprefix("--"), value.removeprefix(NOT), value.startswith(NOT))
        for names, _ in _FILTERS
        for value in options[names[0].removeprefix("--").replace("-", "_")]
    ]
    if options["all_namespaces"]:
        flags.append(Flag("all-namespaces", ""))
    flags += [Flag("ip-version", version) for version in ("v4", "v6") if options[f"ip{version}"]]
    allow, deny = build(flags)
    request: dict[str, Any] = {"follow": follow, "whitelist": allow, "blacklist": deny}
    for name in ("since", "until"):
        if options[name]:
            request[name] = _moment(name, options[name])
    if first:
        request |= {"number": first, "first": True}
    elif last:
        request["number"] = last
    elif not (every or follow or "since" in request or "until" in request):
        request["number"] = LAST
    elif every and follow:
        request["since"] = "1970-01-01T00:00:00Z"
    return request


def _moment(option: str, text: str) -> str:
    """RFC 3339; a duration is so long ago."""
    if (ago := seconds(text)) is not None:
        return _rfc3339(datetime.fromtimestamp(max(0.0, time.time() - ago), UTC))
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(
            f"--{option}: `{text}` is no time; write as 5m, 1h30m, 2026-11-23 or 2026-11-23T12:00:00Z"
        ) from None
    return _rfc3339(moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC))


def _rfc3339(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class _Writer:
    """Lines of the agent's stream to stdout. `last` is the uuid of the newest flow."""

    def __init__(self, output: str, text: FlowText) -> None:
        self._output, self._text = output, text
        self._rows: list[tuple[str, ...]] = []
        self._any = False
        self.last = ""
        self.lost = 0
        """Events that the kernel could not tell, as far as the stream said."""

    def take(self, line: bytes) -> None:
        if self._output in ("json", "jsonpb") and line.startswith(b'{"flow":'):
            # As it came, without reading it: 100,000 of them are many.
            at = line.index(b'"uuid":"') + 8
            self.last = line[at : at + 36].decode()
            self._write(line.decode())
            return
        document = json.loads(line)
        flow = document.get("flow")
        if flow is not None:
            self.last = flow["uuid"]
        elif document.get("lost_events", {}).get("source") == "PERF_EVENT_RING_BUFFER":
            self.lost += int(document["lost_events"]["num_events_lost"])
        if self._output in ("json", "jsonpb"):
            self._write(line.decode())
        elif flow is None:
            if "lost_events" in document:
                self._write(self._text.lost(document["lost_events"]))
        elif self._output == "table":
            self._rows.append(self._text.row(flow))
        elif self._output == "dict":
            self._write(f"{SEPARATOR}\n{self._text.dict(flow)}" if self._any else self._text.dict(flow))
        else:
            self._write(self._text.compact(flow))

    def flush(self) -> None:
        sys.stdout.flush()

    def finish(self) -> None:
        if self._rows:
            for line in Table(2, 3).lines([self._text.header(), *self._rows]):
                sys.stdout.write(f"{line}\n")
        sys.stdout.flush()

    def _write(self, text: str) -> None:
        sys.stdout.write(f"{text}\n")
        self._any = True


def _run(client: AgentClient, request: dict[str, Any], writer: _Writer) -> None:
    follow = bool(request["follow"])
    run, lost, away_since = "", 0, None
    while True:
        try:
            with client.flows(request) as stream:
                if away_since is not None:
                    _say_back(time.monotonic() - away_since, stream.run != run, stream.lost - lost)
                run, lost, away_since = stream.run, stream.lost, None
                before = writer.lost
                for line in stream.lines:
                    writer.take(line)
                    if follow:
                        writer.flush()
                lost += writer.lost - before
        except AgentAway:
            if not follow or not run:
                raise
        if not follow:
            return
        if away_since is None:
            away_since = time.monotonic()
            click.echo("namewall: the agent went away; enforcement goes on, waiting for it", err=True)
        request = {**request, "after": writer.last, "number": 0, "first": False}
        if not writer.last:
            request["since"] = request.get("since") or _rfc3339(datetime.now(UTC))
        time.sleep(AGAIN)


def _say_back(seconds: float, another: bool, lost: int) -> None:
    """`another`: not the agent that went away, so what it kept is gone; what the kernel kept is told now."""
    what = f"{lost} events were lost" if lost > 0 else "no event was lost"
    told = ", and what the last one had kept is gone" if another else ""
    click.echo(f"namewall: the agent is back after {seconds:.1f} s; {what}{told}", err=True)
