"""`namewall cluster-dns`: the cluster's DNS server, run as a pod in kube-system; nobody types it."""

from __future__ import annotations

import click


@click.command("cluster-dns")
@click.option(
    "--listen",
    "listen",
    multiple=True,
    default=("53",),
    metavar="[ADDRESS:]PORT",
    help="Where to serve, UDP and TCP; every address, v4 and v6, where none is given. May be repeated.",
)
@click.option(
    "--records",
    metavar="PATH",
    help="The records document, or the folder with its `records.json`; read again whenever it changes.",
)
@click.option(
    "--upstream",
    "upstreams",
    multiple=True,
    metavar="IP[:PORT]",
    help="Where to forward while the document names no upstreams. May be repeated.",
)
@click.option(
    "--domain", default="cluster.local", show_default=True, help="Fails until the document is there."
)
def cluster_dns_command(
    listen: tuple[str, ...], records: str | None, upstreams: tuple[str, ...], domain: str
) -> None:
    """Answer for the cluster's names, forward the rest."""
    from namewall.clusterdns.main import parse_listen, serve
    from namewall.model.cluster import Resolver

    try:
        places = [parse_listen(text) for text in listen]
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--listen") from None
    try:
        servers = [Resolver.parse(text) for text in upstreams]
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--upstream") from None
    serve(places, records, servers, domain)
