"""`namewall status`: what runs, what is enforced, the process ids; --verbose adds tables and their sizes."""

from __future__ import annotations

import os
import sys
from typing import Any

import click

from namewall.cli import processes
from namewall.cli.context import CANNOT, instance, load_cluster
from namewall.cli.editor_daemon import read_address


@click.command("status")
@click.option(
    "-v", "--verbose", is_flag=True, help="Endpoints, tables and how full they are, events lost, errors."
)
@click.option(
    "-o", "--output", type=click.Choice(["table", "json", "yaml"]), default="table", show_default=True
)
def status_command(verbose: bool, output: str) -> None:
    """Show what runs, and its process ids. Exit code 3 where a daemon does not run."""
    report = _report()
    if verbose:
        from namewall.cli.status_verbose import details

        report["agent"], report["tables"] = details(instance())
    if output != "table":
        from namewall.cli.node_output import document

        click.echo(document(report, output))
    else:
        _print(report)
        if verbose:
            from namewall.cli.status_verbose import print_details

            print_details(report["agent"], report["tables"])
    if any(process["pid"] is None for process in report["processes"]):
        sys.exit(CANNOT)


def _report() -> dict[str, Any]:
    from namewall.agent.report import read_report
    from namewall.runtime.pods import pod_processes

    here = instance()
    cluster = load_cluster(here)
    address = read_address(here)
    names = processes.DAEMONS if address is None else (*processes.DAEMONS, processes.EDITOR)
    running = {name: processes.running(here, name) for name in names}
    return {
        "instance": here.root or "default",
        "kubeconfig": here.kubeconfig if os.path.exists(here.kubeconfig) else None,
        "cluster": cluster.to_dict() if cluster else None,
        "processes": [
            {"name": name, "pid": process.pid if process else None, "log": processes.log_file(here, name)}
            for name, process in running.items()
        ],
        "pods": pod_processes(here),
        "datapath": read_report(here),
        "editor": None if address is None else address.url,
    }


def _print(report: dict[str, Any]) -> None:
    for process in report["processes"]:
        state = f"pid {process['pid']}" if process["pid"] else "not running"
        click.echo(f"{process['name']:<12}{state}")
    datapath = report["datapath"]
    if datapath:
        click.echo(f"{'endpoints':<12}{datapath['endpoints']}")
        click.echo(f"{'policies':<12}{datapath['policies']}")
        click.echo(f"{'kernel':<12}{datapath['mapBytes'] / 1e6:.1f} MB of maps")
        if datapath["error"]:
            click.echo(f"{'error':<12}{datapath['error']}")
    click.echo(f"{'pods':<12}{len(report['pods'])}")
    if report["kubeconfig"]:
        click.echo(f"{'kubeconfig':<12}{report['kubeconfig']}")
    if report["editor"]:
        click.echo(f"{'page':<12}{report['editor']}")
