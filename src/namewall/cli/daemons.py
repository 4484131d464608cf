"""Entry points of the API server, the agent and the editor; `namewall up` starts them, nobody types them.

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


@click.command("editor-server")
def editor_server_command() -> None:
    """The policy editor of this instance, until it is told to stop."""
    from namewall.cli.editor import connection
    from namewall.cli.editor_daemon import read_address
    from namewall.editor.app import Settings
    from namewall.editor.main import listen, serve
    from namewall.model.errors import Cannot

    here = instance()
    address = read_address(here) or fail("there is no editor here; run `namewall up --editor-port 7480`")
    try:
        listener = listen(address.port)
    except Cannot as error:
        fail(str(error))
    serve(listener, Settings(address.port, address.token, cluster=connection(here, here.kubeconfig)))
