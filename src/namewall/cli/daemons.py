"""Entry points of the API server and the agent; `namewall up` starts them, nobody types them.

The monitor has its own, `namewall.runtime.monitor`, without what the CLI imports.
"""

from __future__ import annotations

import click

from namewall.cli.context import fail, instance, load_cluster


@click.command("apiserver")
def apiserver_command() -> None:
    """The API server, until it is told to stop."""
    from namewall.apiserver.main import ServerConfig, serve

    here = instance()
    cluster = load_cluster(here) or fail("there is no cluster yet; run `namewall up`")
    serve(
        ServerConfig(
            instance=here,
            host=cluster.listen_host,
            port=cluster.listen_port,
            node_name=cluster.node_name,
            service_cidrs=cluster.service_cidrs,
            cluster_domain=cluster.domain,
        )
    )


@click.command("agent")
def agent_command() -> None:
    """The node agent: pods, identities, kernel tables."""
    from namewall.agent.main import serve

    here = instance()
    cluster = load_cluster(here) or fail("there is no cluster yet; run `namewall up`")
    serve(here, cluster)
