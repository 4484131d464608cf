"""`namewall bpf … list`: the kernel's tables with names, also while every daemon is dead."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import click

from namewall.cli.context import instance
from namewall.cli.near_group import NearGroup
from namewall.cli.node_output import Column, Row, output_option, show
from namewall.datapath.reading import Pins

_POLICY: Sequence[Column] = (
    ("POLICY", lambda row: row["policy"]),
    ("ENDPOINTS", lambda row: row["endpoints"]),
    ("DIRECTION", lambda row: row["direction"]),
    ("PEER", lambda row: row["peer"]),
    ("PEER PODS", lambda row: row["peerEndpoints"]),
    ("PROTOCOL", lambda row: row["protocol"].lower()),
    ("PORT", lambda row: row["port"]),
    ("ACTION", lambda row: "allow aside" if row["aside"] else row["action"]),
    ("DNS NAMES", lambda row: row["dnsNames"]),
)
_GRANTS: Sequence[Column] = (
    ("ENDPOINT", lambda row: row["endpoint"]),
    ("POD", lambda row: row["pod"]),
    ("ADDRESS", lambda row: row["address"]),
    ("NAMES", lambda row: row["names"]),
    ("CLASS", lambda row: row["class"]),
    ("SELECTORS", lambda row: row["selectors"]),
    ("SECONDS LEFT", lambda row: row["secondsLeft"]),
    ("CONNECTIONS", lambda row: row["connections"]),
)
_CT: Sequence[Column] = (
    ("ENDPOINT", lambda row: row["endpoint"]),
    ("POD", lambda row: row["pod"]),
    ("DIRECTION", lambda row: row["direction"]),
    ("PROTOCOL", lambda row: row["protocol"].lower()),
    ("LOCAL", lambda row: row["local"]),
    ("REMOTE", lambda row: row["remote"]),
    ("STATE", lambda row: "closing" if row["closing"] else "replied" if row["replied"] else "new"),
    ("AGE", lambda row: row["ageSeconds"]),
    ("SECONDS LEFT", lambda row: row["secondsLeft"]),
    ("BY NAME", lambda row: row["selectors"]),
)
_IPCACHE: Sequence[Column] = (
    ("PREFIX", lambda row: row["prefix"]),
    ("IDENTITY", lambda row: row["identity"]),
    ("NAME", lambda row: row["name"]),
    ("INSIDE", lambda row: row["inside"]),
    ("POD", lambda row: row["pod"]),
)
_SERVICES: Sequence[Column] = (
    ("ADDRESS", lambda row: row["address"]),
    ("PORT", lambda row: row["port"]),
    ("PROTOCOL", lambda row: row["protocol"].lower()),
    ("BACKENDS", lambda row: [f"{b['identity']}:{b['port']}" for b in row["backends"]]),
)
_SIZES: Sequence[Column] = (
    ("TABLE", lambda row: row["table"]),
    ("USED", lambda row: row["used"]),
    ("MOST", lambda row: row["most"]),
    ("PRESSURE", lambda row: f"{row['pressure']:.2f}%"),
    ("BYTES", lambda row: row["bytes"]),
)


@click.group("bpf", cls=NearGroup)
def bpf_command() -> None:
    """Show the kernel's tables; works while the agent is dead."""


def _verb(name: str, columns: Sequence[Column], words: str, rows: Callable[[Pins], list[Row]]) -> None:
    @bpf_command.group(name, help=words)
    def table() -> None: ...

    @table.command("list", help=words)
    @output_option
    def list_(output: str) -> None:
        from namewall.cli.node_tables import pins

        with pins(instance()) as opened:
            found = rows(opened)
        show(found, columns, output)


def _policy(opened: Pins) -> list[Row]:
    from namewall.cli.node_tables import pod_names
    from namewall.datapath.views import policy_rows

    return policy_rows(opened, pod_names(instance()))


def _grants(opened: Pins) -> list[Row]:
    from namewall.cli.node_tables import boottime, known_names, pod_names
    from namewall.datapath.views import grant_rows

    here = instance()
    return grant_rows(opened, pod_names(here), known_names(here), boottime())


def _ct(opened: Pins) -> list[Row]:
    from namewall.cli.node_tables import boottime, pod_names
    from namewall.datapath.views import connection_rows

    return connection_rows(opened, pod_names(instance()), boottime())


def _ipcache(opened: Pins) -> list[Row]:
    from namewall.cli.node_tables import pod_names
    from namewall.datapath.views import ipcache_rows

    return ipcache_rows(opened, pod_names(instance()))


def _services(opened: Pins) -> list[Row]:
    from namewall.datapath.views import service_rows

    return service_rows(opened)


def _sizes(opened: Pins) -> list[Row]:
    from namewall.datapath.views import size_rows

    return size_rows(opened)


_verb("policy", _POLICY, "What each policy lets pass, entry by entry.", _policy)
_verb("grants", _GRANTS, "Which addresses which names opened for whom.", _grants)
_verb("ct", _CT, "Connections that are followed.", _ct)
_verb("ipcache", _IPCACHE, "Which identity an address has.", _ipcache)
_verb("services", _SERVICES, "Service addresses and who is behind them.", _services)
_verb("sizes", _SIZES, "How full each table is.", _sizes)
