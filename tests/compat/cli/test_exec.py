"""`namewall exec` and `logs` of real containers, beside kubectl's: streams, terminals, exit codes, the page's lines."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import AsyncIterator
from ipaddress import ip_address
from pathlib import Path

import pexpect
import pytest
import pytest_asyncio

from namewall.model.instance import Instance
from tests.compat import manifests
from tests.compat.cli.twin import COMMAND, Twin
from tests.compat.kubelet import Kubelet
from tests.compat.server import KUBECTL, Server, to_yaml
from tests.e2e.runtime.harness import Lab

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root to run containers"),
    pytest.mark.skipif(shutil.which("runc") is None, reason="needs runc (apt install runc)"),
    pytest.mark.asyncio(loop_scope="module"),
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def twin(_kubectl: None) -> AsyncIterator[Twin]:
    """A server, and one pod that really runs."""
    root = Path(tempfile.mkdtemp(prefix="nw-", dir="/tmp"))
    server, lab = Server(root), Lab(Instance(str(root)))
    server.start()
    kubelet = Kubelet(server)
    lab.start_monitor()
    try:
        kubelet.start()
        await lab.monitor_ready()
        obj = manifests.pod("web")
        (container,) = obj["spec"]["containers"]
        container["command"] = [
            "sh",
            "-c",
            'echo one; echo two >&2; echo three; exec "$@"',
            "-",
            *container["command"],
        ]
        done = manifests.pod("done")
        server.ok("apply", "-f", "-", input=to_yaml(obj, done))
        server.ok("wait", "pod/web", "pod/done", "--for=condition=Ready", "--timeout=20s")
        patch = '{"status":{"phase":"Succeeded"}}'
        server.ok("patch", "pod", "done", "--subresource=status", "--type=merge", "-p", patch)
        stored = server.get("pod", "web")
        addresses = (ip_address("10.201.197.2"), ip_address("fd4e:7e57::c502"))
        sandbox = await lab.runtime.create(stored, addresses, "nameserver 10.220.0.10\n")
        await lab.runtime.open(sandbox)
        await lab.start(sandbox, stored)
        yield Twin(server)
    finally:
        kubelet.stop()
        try:
            await lab.runtime.remove_all()
        finally:
            lab.end_monitor()
            server.stop(signal.SIGKILL)
            shutil.rmtree(root)


@pytest.mark.parametrize(
    "words",
    [
        ("exec", "web", "--", "sh", "-c", "echo out; echo err >&2"),
        ("exec", "web", "--", "sh", "-c", "exit 28"),
        ("exec", "web", "--", "sh", "-c", "kill -9 $$"),
        ("exec", "pod/web", "-c", "main", "--", "true"),
        ("exec", "-it", "web", "--", "echo", "no terminal here"),
        ("exec", "-t", "web", "--", "echo", "no stdin"),
        ("exec", "nobody", "--", "true"),
        ("exec", "done", "--", "true"),
        ("exec", "web", "-n", "nowhere", "--", "true"),
        ("logs", "web"),
        ("logs", "pod/web", "main"),
        ("logs", "web", "-c", "main", "--tail=2"),
        ("logs", "web", "--tail", "0"),
        ("logs", "web", "--since=1h", "--limit-bytes=4"),
        ("logs", "web", "--since-time=2020-01-01T00:00:00Z", "--timestamps"),
        ("logs", "web", "-p"),
    ],
    ids=lambda words: " ".join(words),
)
async def test_the_same_words_say_the_same(twin: Twin, words: tuple[str, ...]) -> None:
    twin.same(*words)


async def test_a_log_is_followed_until_it_is_enough(twin: Twin) -> None:
    child = pexpect.spawn(
        COMMAND[0],
        [*COMMAND[1:], "logs", "-f", "web", "--tail=1"],
        env=twin.environment(),
        timeout=20,
        encoding="utf-8",
    )
    child.expect_exact("three")
    twin.server.ok("exec", "web", "--", "sh", "-c", "echo more >>/proc/1/fd/1")
    child.expect_exact("more")
    child.sendintr()
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 130


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("web", "-c", "nope"), "container nope is not valid for pod web"),
        (("nobody",), 'pods "nobody" not found'),
        (("web", "-n", "nowhere"), 'namespaces "nowhere" not found'),
    ],
)
async def test_why_there_are_no_logs(twin: Twin, words: tuple[str, ...], why: str) -> None:
    """kubectl words these otherwise than those of other verbs; the reason is the same."""
    for ran in (twin.namewall("logs", *words), twin.server.kubectl("logs", *words)):
        assert (ran.code, ran.out) == (1, "")
        assert why in ran.err


async def test_words_of_logs_that_mean_nothing(twin: Twin) -> None:
    for words in (
        (),
        ("a", "b", "c"),
        ("web", "main", "-c", "main"),
        ("web", "--since=soon"),
        ("web", "--tail=-2"),
    ):
        ran = twin.namewall("logs", *words)
        assert (ran.code, ran.out) == (2, ""), words
        assert ran.err.startswith("error: "), words


async def test_stdin_arrives_and_ends(twin: Twin) -> None:
    assert twin.same("exec", "-i", "web", "--", "cat", input="in\n").out == "in\n"
    data = "0123456789abcde\n" * 65536
    assert twin.namewall("exec", "-i", "web", "--", "cat", input=data).out == data


async def test_what_could_not_be_started_is_125(twin: Twin) -> None:
    ran = twin.namewall("exec", "web", "--", "no-such-program")
    theirs = twin.server.kubectl("exec", "web", "--", "no-such-program")
    assert (ran.code, theirs.code) == (125, 1)
    assert ran.err == theirs.err
    ran = twin.namewall("exec", "web", "-c", "nope", "--", "true")
    assert ran.code == 125
    assert "container nope is not valid" in ran.err


async def test_a_terminal_has_our_size_and_is_left_as_it_was(twin: Twin) -> None:
    script = '"$@"; code=$?; stty -a | grep -o -- "[-]*icanon"; exit $code'
    child = pexpect.spawn(
        "bash",
        ["--norc", "-c", script, "-", *COMMAND, "exec", "-ti", "web", "--", "bash", "--norc"],
        env={**twin.environment(), "TERM": "dumb"},
        dimensions=(31, 97),
        timeout=20,
        encoding="utf-8",
    )
    child.expect(r"[$#] ")
    child.sendline("stty size")
    child.expect("31 97")
    child.setwinsize(40, 120)
    child.sendline("sleep 0.3; stty size; tty && exit 28")
    child.expect("40 120")
    child.expect("command terminated with exit code 28")
    child.expect("\nicanon")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 28


@pytest.mark.parametrize("program", ["kubectl", "namewall"])
async def test_the_pages_pipe_shows_the_first_line(twin: Twin, program: str) -> None:
    """`exec -ti … | head -1` in a terminal: the reader of the pipe goes away early, nothing else is printed."""
    words = [str(KUBECTL)] if program == "kubectl" else COMMAND
    script = '"$@" exec -ti web -- sh -c "echo HTTP/2 200; echo more" | head -1; echo "done ${PIPESTATUS[1]}"'
    child = pexpect.spawn(
        "bash",
        ["--norc", "-c", script, "-", *words],
        env={**twin.environment(), "TERM": "dumb"},
        timeout=20,
        encoding="utf-8",
    )
    child.expect(pexpect.EOF)
    assert child.before is not None
    assert child.before.split() == ["HTTP/2", "200", "done", "0"]


async def test_an_interrupt_ends_without_a_word(twin: Twin) -> None:
    running = subprocess.Popen(
        [*COMMAND, "exec", "web", "--", "sh", "-c", "echo on; sleep 30"],
        env=twin.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert running.stdout is not None
    assert running.stdout.readline() == b"on\n"
    running.send_signal(signal.SIGINT)
    try:
        assert running.communicate(timeout=10) == (b"", b"")
        assert running.returncode == 130
    finally:
        running.kill()
