"""The addresses this host answers to, kept up to date: every one is the host's for policy, and none is ever granted.

A name whose answer holds an address of the node (DNS rebinding) must open nothing, whichever of the node's
interfaces has the address, and however late it came.
"""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import subprocess
from collections.abc import Callable
from ipaddress import ip_address

from namewall.model.net import Address

RTMGRP_IPV4_IFADDR, RTMGRP_IPV6_IFADDR = 0x10, 0x100
"""rtnetlink(7): tell of addresses that come and go."""

log = logging.getLogger("namewall.agent")


def host_addresses() -> frozenset[Address]:
    """Of all interfaces of this network namespace, link-local ones too; loopback is closed anyway. Raises OSError."""
    run = subprocess.run(["ip", "-j", "address", "show"], capture_output=True, text=True, check=False)
    if run.returncode != 0:
        raise OSError(f"`ip address show` failed: {run.stderr.strip()}")
    found = (
        ip_address(entry["local"])
        for link in json.loads(run.stdout or "[]")
        for entry in link.get("addr_info") or ()
        if "local" in entry
    )
    return frozenset(address for address in found if not address.is_loopback)


class HostAddresses:
    """`now` is what was there at the last look; `changed` is called when that is no longer so."""

    def __init__(self, changed: Callable[[], None]) -> None:
        self._changed = changed
        self.now = host_addresses()

    def look(self) -> None:
        before, self.now = self.now, host_addresses()
        if before != self.now:
            self._changed()

    async def run(self) -> None:
        """Until cancelled."""
        told = asyncio.Event()
        loop = asyncio.get_running_loop()
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as listening:
            listening.setblocking(False)
            listening.bind((0, RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR))

            def drain() -> None:
                try:
                    while listening.recv(65536):
                        pass
                except BlockingIOError:
                    pass
                except OSError:
                    pass  # more was told than fits: the look that follows sees it all
                told.set()

            loop.add_reader(listening, drain)
            try:
                while True:
                    try:
                        await asyncio.to_thread(self.look)
                    except OSError as error:
                        log.warning("the host's addresses are not known anew: %s", error)
                    await told.wait()
                    # pods come with an address of their gateway's each: one look for all of a burst
                    await asyncio.sleep(0.05)
                    told.clear()
            finally:
                loop.remove_reader(listening)
