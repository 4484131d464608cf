"""What the host answers to is known as it comes and goes; in a network namespace of the test's own."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

PROGRAM = """
import asyncio, subprocess
from namewall.agent.host_addresses import HostAddresses

async def main():
    told = asyncio.Event()
    host = HostAddresses(told.set)
    assert not host.now, host.now
    task = asyncio.create_task(host.run())
    await asyncio.sleep(0.2)
    for command in ("link set lo up", "addr add 203.0.113.7/32 dev lo", "addr add 2001:db8::7/128 dev lo"):
        subprocess.run(["ip", *command.split()], check=True)
    async with asyncio.timeout(10):
        while {str(a) for a in host.now} != {"203.0.113.7", "2001:db8::7"}:
            told.clear()
            await told.wait()
        subprocess.run(["ip", "addr", "del", "203.0.113.7/32", "dev", "lo"], check=True)
        while {str(a) for a in host.now} != {"2001:db8::7"}:
            told.clear()
            await told.wait()
    task.cancel()

asyncio.run(main())
"""


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: makes a network namespace")
def test_addresses_that_come_and_go_are_told() -> None:
    run = ["unshare", "--net", sys.executable, "-c", PROGRAM]
    done = subprocess.run(run, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
