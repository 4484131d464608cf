"""`namewall kubeconfig`: the credentials of the running server, for KUBECONFIG."""

from __future__ import annotations

import click

from namewall.cli.context import fail, instance


@click.command("kubeconfig")
@click.option("--path", is_flag=True, help="Print where the file is, not what it says.")
def kubeconfig_command(path: bool) -> None:
    """Print the kubeconfig of this instance.

    export KUBECONFIG=$(namewall kubeconfig --path)
    """
    file = instance().kubeconfig
    try:
        with open(file, encoding="utf-8") as stream:
            text = stream.read()
    except FileNotFoundError:
        fail(f"there is no {file}; start the server with `namewall up`")
    except PermissionError:
        fail(f"{file} is for root only; run it with sudo")
    click.echo(file if path else text, nl=path)
