"""Flags as kubectl's users write them, and how the verbs end without a server."""

from __future__ import annotations

from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from namewall.cli.kubectl import KubectlCommand, OptionalValue
from namewall.cli.main import main


def parse(*args: str) -> tuple[dict[str, object], object]:
    seen: dict[str, object] = {}

    @click.command(cls=KubectlCommand)
    @click.argument("words", nargs=-1)
    @click.option("--wait", is_flag=True, default=True)
    @click.option("-i", "--stdin", is_flag=True)
    @click.option("-t", "--tty", is_flag=True)
    @click.option("-o", "--output", default="")
    @click.option("--dry-run", cls=OptionalValue, bare="client", default="none")
    @click.pass_context
    def command(ctx: click.Context, /, **options: object) -> None:
        seen.update(options)
        seen["after"] = ctx.meta["after_dash"]

    result = CliRunner().invoke(command, list(args), catch_exceptions=False)
    return seen, result.exit_code


@pytest.mark.parametrize(
    ("args", "wanted"),
    [
        (["--wait=false", "x"], {"wait": False, "words": ("x",)}),
        (["x", "--wait"], {"wait": True}),
        (["-i=true", "-t=false"], {"stdin": True, "tty": False}),
        (["-it"], {"stdin": True, "tty": True}),
        (["-o=json"], {"output": "json"}),
        (["-ojson"], {"output": "json"}),
        (["-o", "jsonpath={.a=b}"], {"output": "jsonpath={.a=b}"}),
        (["-o=jsonpath={.a=b}"], {"output": "jsonpath={.a=b}"}),
        (["--dry-run", "server"], {"dry_run": "client", "words": ("server",)}),
        (["--dry-run=server"], {"dry_run": "server"}),
        (
            ["pod", "--", "ls", "-l", "--wait=false"],
            {"words": ("pod",), "after": ["ls", "-l", "--wait=false"]},
        ),
        (["pod"], {"after": None}),
    ],
)
def test_flags(args: list[str], wanted: dict[str, object]) -> None:
    seen, code = parse(*args)
    assert code == 0
    assert {key: seen[key] for key in wanted} == wanted


def test_a_flag_that_is_neither_true_nor_false() -> None:
    assert parse("--wait=perhaps")[1] == 2


VERBS = [
    ["get", "pods"],
    ["apply", "-f", "-"],
    ["delete", "pod", "x"],
    ["describe", "pod"],
    ["exec", "x", "--", "true"],
]


@pytest.mark.parametrize("args", VERBS, ids=lambda args: args[0])
def test_without_a_server_the_code_is_3(args: list[str], tmp_path: Path) -> None:
    env = {"NAMEWALL_ROOT": str(tmp_path), "KUBECONFIG": None}
    result = CliRunner().invoke(main, args, env=env)
    assert result.exit_code == 3
    assert "start one with `namewall up`, or set KUBECONFIG" in result.output
    assert result.output.count("\n") == 1


@pytest.mark.parametrize("args", VERBS, ids=lambda args: args[0])
def test_a_server_that_is_away_is_3_too(args: list[str], tmp_path: Path) -> None:
    config = tmp_path / "config"
    config.write_text(
        "{current-context: c, contexts: [{name: c, context: {cluster: c}}],"
        " clusters: [{name: c, cluster: {server: 'http://127.0.0.1:1'}}]}"
    )
    given = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n"
    result = CliRunner().invoke(main, args, input=given, env={"KUBECONFIG": str(config)})
    assert result.exit_code == 3
    wanted = (
        "The connection to the server 127.0.0.1:1 was refused - did you specify the right host or port?\n"
    )
    assert result.output == wanted


@pytest.mark.parametrize(
    "args",
    [["get"], ["apply"], ["delete"], ["describe"], ["exec", "x"], ["exec", "x", "ls"], ["get", "--nosuch"]],
    ids=" ".join,
)
def test_wrong_usage_is_2(args: list[str], tmp_path: Path) -> None:
    config = tmp_path / "config"
    config.write_text(
        "{current-context: c, contexts: [{name: c, context: {cluster: c}}],"
        " clusters: [{name: c, cluster: {server: 'http://127.0.0.1:1'}}]}"
    )
    result = CliRunner().invoke(main, args, env={"KUBECONFIG": str(config)})
    assert result.exit_code == 2
