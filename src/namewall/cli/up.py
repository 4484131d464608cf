"""`namewall up`: checks first, then starts what is not running, and waits until pods can be had.

Nothing is touched before every check has passed; what a failed first start had made is taken away again. A
second `up` starts only the daemons that died: pods, links and enforcement were never theirs.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import sys
import time
from dataclasses import replace
from typing import get_args

import click

from namewall.cli import processes
from namewall.cli.context import (
    WRONG_USAGE,
    fail,
    if_alone,
    instance,
    load_cluster,
    need_root,
    only_one,
    save_cluster,
)
from namewall.cli.editor_daemon import HOST, ensure_address, is_free, read_address, wanted_port
from namewall.cli.host_ranges import host_ranges
from namewall.cli.instances import others, shared_problem
from namewall.model.cluster import Cluster, Refusal, Resolver, overlaps, parse_cidrs
from namewall.model.instance import Instance

READY_PATIENCE = 60.0
"""Seconds that the daemons and the cluster DNS may take; a healthy start takes two."""

EDITOR_PAUSE = 10.0
"""Seconds between two looks whether the editor runs."""

TOOLS = {"ip": "iproute2", "nft": "nftables", "runc": "runc"}


@click.command("up")
@click.option("-d", "--detach", is_flag=True, help="Return when ready, and leave everything running.")
@click.option(
    "--listen", metavar="HOST:PORT", help="Where the API server listens; port 0 is any. [127.0.0.1:7443]"
)
@click.option("--pod-cidr", metavar="CIDR[,CIDR]", help="Addresses of pods, IPv4 and/or IPv6.")
@click.option("--service-cidr", metavar="CIDR[,CIDR]", help="Addresses of Services, IPv4 and/or IPv6.")
@click.option(
    "--dns-upstream",
    metavar="IP[:PORT]",
    multiple=True,
    help="Where the cluster DNS forwards, may be repeated. [the host's own resolvers]",
)
@click.option(
    "--min-ttl", type=click.IntRange(0, 86400), help="Seconds a learned name stays open at least. [60]"
)
@click.option(
    "--strict-dns-rules/--no-strict-dns-rules", default=None, help="Learn names only where a rules.dns is."
)
@click.option(
    "--dns-refusal",
    type=click.Choice(get_args(Refusal)),
    help="What a refused name is answered with; auto is NXDOMAIN below a pod's search domains, else REFUSED. [auto]",
)
@click.option(
    "--grace", type=click.IntRange(0, 604800), help="Seconds a learned name stays open beyond its TTL. [0]"
)
@click.option(
    "--dns-rate",
    type=click.IntRange(0, 1000000),
    help="DNS questions a second of one pod; 0 is no limit. [5000]",
)
@click.option(
    "--dns-max-label",
    type=click.IntRange(0, 63),
    help="Characters that a label in a question may have; 0 is no limit. [0]",
)
@click.option(
    "--editor-port",
    type=click.IntRange(0, 65535),
    help="Where the policy editor answers on 127.0.0.1; 0 is off. [7480; off with $NAMEWALL_ROOT]",
)
def up_command(
    detach: bool,
    listen: str | None,
    pod_cidr: str | None,
    service_cidr: str | None,
    dns_upstream: tuple[str, ...],
    min_ttl: int | None,
    strict_dns_rules: bool | None,
    dns_refusal: Refusal | None,
    grace: int | None,
    dns_rate: int | None,
    dns_max_label: int | None,
    editor_port: int | None,
) -> None:
    """Start the API server, the agent, the cluster DNS and the pods."""
    need_root("namewall up")
    here = instance()
    before = load_cluster(here)
    cluster = before or Cluster(node_name=socket.gethostname().lower())
    try:
        if listen is not None:
            cluster = _listen(cluster, listen)
        if pod_cidr is not None:
            cluster = replace(cluster, pod_cidrs=parse_cidrs(pod_cidr, "--pod-cidr"))
        if service_cidr is not None:
            cluster = replace(cluster, service_cidrs=parse_cidrs(service_cidr, "--service-cidr"))
        if dns_upstream:
            cluster = replace(cluster, dns_upstreams=tuple(Resolver.parse(text) for text in dns_upstream))
    except ValueError as error:
        fail(str(error), WRONG_USAGE)
    cluster = replace(
        cluster,
        min_ttl=cluster.min_ttl if min_ttl is None else min_ttl,
        strict_dns_rules=cluster.strict_dns_rules if strict_dns_rules is None else strict_dns_rules,
        dns_refusal=dns_refusal or cluster.dns_refusal,
        grace=cluster.grace if grace is None else grace,
        dns_rate=cluster.dns_rate if dns_rate is None else dns_rate,
        dns_max_label=cluster.dns_max_label if dns_max_label is None else dns_max_label,
        editor_port=cluster.editor_port if editor_port is None else editor_port,
    )
    _check_families(cluster)
    _check_unchanged(here, before, cluster)
    _check_host(here, cluster, stored=before is not None)
    from namewall.datapath.nat import forward_obstacles
    from namewall.datapath.transparent import input_obstacles

    for obstacle in (*forward_obstacles(), *input_obstacles()):
        click.echo(f"namewall: warning: {obstacle}", err=True)
    with only_one(here):
        ran = processes.running(here, "apiserver") is not None
        if not detach:
            _check_unwatched(here)
        _start(here, cluster)
        if not detach:
            processes.note(here, processes.WATCHER, os.getpid())
    click.echo(f"namewall is up; export KUBECONFIG={here.kubeconfig}", err=True)
    if (address := read_address(here)) is not None:
        click.echo(f"policy editor: {address.url}", err=True)
    if not detach:
        before_that = "it ran already, and this `up` watches it from now on (`namewall status` shows it): "
        click.echo(f"{before_that if ran else ''}Ctrl-C takes it down", err=True)
        _stay(here, cluster)


def _listen(cluster: Cluster, text: str) -> Cluster:
    host, _, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if host not in ("127.0.0.1", "::1") or not port.isdigit() or int(port) > 65535:
        raise ValueError(
            f"--listen: `{text}` is not HOST:PORT on loopback; write as 127.0.0.1:7443, or 127.0.0.1:0"
        )
    return replace(cluster, listen_host=host, listen_port=int(port))


def _check_families(cluster: Cluster) -> None:
    pods = {cidr.version for cidr in cluster.pod_cidrs}
    services = {cidr.version for cidr in cluster.service_cidrs}
    if pods != services:
        fail(
            "--pod-cidr and --service-cidr must be of the same IP families; "
            f"pods have IPv{' and IPv'.join(map(str, sorted(pods)))}, "
            f"Services IPv{' and IPv'.join(map(str, sorted(services)))}",
            WRONG_USAGE,
        )
    clash = overlaps(cluster.pod_cidrs, {f"--service-cidr {cidr}": cidr for cidr in cluster.service_cidrs})
    if clash:
        fail(f"--pod-cidr: {clash[0]}", WRONG_USAGE)


def _check_unchanged(here: Instance, before: Cluster | None, cluster: Cluster) -> None:
    """Stored objects hold addresses of the old ranges; what runs has read its options."""
    if before is None or before == cluster:
        return
    for option, old, new in (
        ("--pod-cidr", before.pod_cidrs, cluster.pod_cidrs),
        ("--service-cidr", before.service_cidrs, cluster.service_cidrs),
    ):
        if old != new:
            wrote = ",".join(map(str, old))
            fail(f"{option}: the stored cluster uses {wrote}; `namewall down --purge` first, which erases it")
    if any(processes.running(here, name) is not None for name in processes.DAEMONS):
        fail("it is up with other options; `namewall down` first (stored objects stay), then this again")


def _check_unwatched(here: Instance) -> None:
    watcher = processes.running(here, processes.WATCHER)
    if watcher is not None:
        fail(
            f"it is up, and the `namewall up` of pid {watcher.pid} watches it; `namewall status` shows it,"
            " `namewall down` takes it down"
        )


def _check_host(here: Instance, cluster: Cluster, *, stored: bool) -> None:
    """One sentence for each thing that is missing, before anything is touched. Exit code 3."""
    from namewall.datapath.kernel import check_support

    problems = [
        f"`{tool}` is not installed; apt-get install {package}"
        for tool, package in TOOLS.items()
        if shutil.which(tool, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin") is None
    ]
    problems += check_support()
    if not problems:
        neighbours = others(here)
        theirs = {instance.link_prefix for instance, _ in neighbours}
        taken = host_ranges({here.link_prefix, *theirs})
        problems += shared_problem(cluster, neighbours, taken.values(), stored=stored)
        problems += [
            f"--pod-cidr: {clash}; give another range" for clash in overlaps(cluster.pod_cidrs, taken)
        ]
        problems += [
            f"--service-cidr: {clash}; give another range" for clash in overlaps(cluster.service_cidrs, taken)
        ]
    if processes.running(here, "apiserver") is None and cluster.listen_port:
        problems += _port_problem(cluster)
    port = cluster.editor_port or 0
    if port and processes.running(here, processes.EDITOR) is None and not is_free(port):
        where = f"{HOST}:{port}"
        problems.append(f"the editor cannot listen on {where}; give another with --editor-port, 0 for none")
    if problems:
        fail("\nnamewall: ".join(problems))


def _port_problem(cluster: Cluster) -> list[str]:
    family = socket.AF_INET6 if ":" in cluster.listen_host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((cluster.listen_host, cluster.listen_port))
        except OSError as error:
            where = f"{cluster.listen_host}:{cluster.listen_port}"
            return [
                f"cannot listen on {where} ({error.strerror}); give another with --listen {cluster.listen_host}:0"
            ]
    return []


def _start(here: Instance, cluster: Cluster) -> None:
    from namewall.cli.readiness import NotReady, wait_ready
    from namewall.runtime.host import prepare_host

    first = not os.path.exists(here.pin_dir)
    started: list[str] = []
    try:
        save_cluster(here, cluster)
        prepare_host(here)
        for name in processes.DAEMONS:
            if processes.running(here, name) is None:
                started.append(name)
                processes.spawn(here, name)
        wait_ready(here, cluster, time.monotonic() + READY_PATIENCE)
        _start_editor(here, cluster)
    except (NotReady, OSError, KeyboardInterrupt) as error:
        if first:
            from namewall.cli.down import tear_down

            tear_down(here)
        else:
            for name in started:
                processes.stop(here, name)
        fail(str(error) or "interrupted")


def _start_editor(here: Instance, cluster: Cluster) -> None:
    """Last, and without waiting: pods and policy come first."""
    port = wanted_port(here, cluster)
    if port and processes.running(here, processes.EDITOR) is None:
        ensure_address(here, port, cluster.editor_port is not None)
        processes.spawn(here, processes.EDITOR)


def _stay(here: Instance, cluster: Cluster) -> None:
    """In the foreground: start again what dies, and take everything down on Ctrl-C or SIGTERM."""
    from namewall.cli.down import tear_down

    ended = False

    def end(number: int, frame: object) -> None:
        nonlocal ended
        ended = True

    signal.signal(signal.SIGINT, end)
    signal.signal(signal.SIGTERM, end)
    editor_due = time.monotonic() + EDITOR_PAUSE
    while not ended:
        time.sleep(0.5)
        if not _watches(here):
            break
        dead = [name for name in processes.DAEMONS if processes.running(here, name) is None]
        if ended or not (dead or time.monotonic() > editor_due):
            continue
        with if_alone(here) as alone:
            if not alone or not _watches(here):
                continue
            for name in dead:
                click.echo(f"namewall: the {name} ended; starting it again (pods were not touched)", err=True)
                processes.spawn(here, name)
            if time.monotonic() > editor_due:
                _start_editor(here, cluster)
                editor_due = time.monotonic() + EDITOR_PAUSE
    if _watches(here):
        with only_one(here):
            tear_down(here)
    else:
        click.echo("namewall: it was taken down elsewhere", err=True)
    sys.exit(0)


def _watches(here: Instance) -> bool:
    watcher = processes.running(here, processes.WATCHER)
    return watcher is not None and watcher.pid == os.getpid()
