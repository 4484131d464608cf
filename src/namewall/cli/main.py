"""The `namewall` program: a table of verbs, each imported only when it is called (start-up time is felt)."""

from __future__ import annotations

import importlib
from typing import Any, ClassVar

import click

from namewall import __version__
from namewall.cli.endings import endings
from namewall.cli.near_group import NearGroup

# verb -> module below namewall.cli that holds a click command of that name (dashes become underscores)
COMMANDS = {
    "up": "up",
    "down": "down",
    "status": "status",
    "kubeconfig": "kubeconfig",
    "get": "get",
    "apply": "apply",
    "delete": "delete",
    "describe": "describe",
    "exec": "exec",
    "logs": "logs",
    "validate": "validate",
    "match": "match",
    "simulate": "simulate",
    "test": "test",
    "explain": "explain",
    "lint": "lint",
    "diff": "diff",
    "editor": "editor",
    "observe": "observe",
    "endpoint": "endpoint",
    "policy": "policy",
    "fqdn": "fqdn",
    "bpf": "bpf",
    "cluster-dns": "cluster_dns",
    "apiserver": "daemons",
    "agent": "daemons",
    "editor-server": "daemons",
}
HIDDEN = {"cluster-dns", "apiserver", "agent", "editor-server"}


class LazyGroup(NearGroup):
    """Knows the verbs without importing them; the one-line helps stand here so that --help is quick."""

    HELPS: ClassVar[dict[str, str]] = {
        "up": "Start the API server, the agent, the cluster DNS and the pods.",
        "down": "Stop everything and leave nothing behind.",
        "status": "Show what runs, and its process ids.",
        "kubeconfig": "Print the kubeconfig of the running server.",
        "get": "List objects, as kubectl does.",
        "apply": "Create or change objects from files, as kubectl does.",
        "delete": "Delete objects, as kubectl does.",
        "describe": "Show one object and its events, as kubectl does.",
        "exec": "Run a command in a pod, as kubectl does.",
        "logs": "Print the logs of a container, as kubectl does.",
        "validate": "Check policies, and say all that is wrong with them.",
        "match": "Say whether names fit a pattern.",
        "simulate": "Answer the queries of a scenario.",
        "test": "Run policy unit tests.",
        "explain": "Say why a flow is allowed or denied, and what would allow it.",
        "lint": "Look for traps in policies.",
        "diff": "Show which flows change between two sets of policies.",
        "editor": "Edit policies in a browser, and see the cluster live.",
        "observe": "Show flows, as hubble observe does.",
        "endpoint": "Show the workloads under policy.",
        "policy": "Show the policies in force.",
        "fqdn": "Show the DNS names that endpoints learned.",
        "bpf": "Show the kernel's tables.",
    }

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [verb for verb in COMMANDS if verb not in HIDDEN]

    # Not around it all: click would make a closed pipe and Ctrl-C a 1, which is a finding.
    def make_context(self, *args: Any, **extra: Any) -> click.Context:
        with endings():
            return super().make_context(*args, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        with endings():
            return super().invoke(ctx)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"namewall.cli.{COMMANDS[cmd_name]}")
        attribute = cmd_name.replace("-", "_")
        command = getattr(module, f"{attribute}_command")
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        rows = [(verb, self.HELPS[verb]) for verb in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl(rows)


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="namewall")
def main() -> None:
    """Network policy by DNS name for any Linux workload, judged and learned in the kernel.

    Exit codes: 0 done; 1 a finding (denied, differs, test failed); 2 wrong usage or invalid input;
    3 cannot (no root, no kernel support, no server). `exec` passes the command's own code.
    """
