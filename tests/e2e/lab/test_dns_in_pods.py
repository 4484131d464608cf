"""Names asked for from inside pods by real resolvers: dig, glibc, busybox, musl-like; over UDP and TCP.

Policies name single names only (`matchName`), as most people write them: the search list of a pod's resolv.conf
(`ndots:5`) then asks for names that no policy allows before it comes to the right one.
"""

from __future__ import annotations

import ast
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from lab import cluster, netns
from lab.cluster import Lab
from lab.host import Process, run
from lab.names import Site, page_world, slot_networks

pytestmark = pytest.mark.root

ALLOWED, DENIED, MANY = "kubernetes.io", "cilium.io", "many.example.com"
SHORT = "kube-dns.kube-system"
"""Found in the second search domain, svc.cluster.local."""

OBJECTS = f"""
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {{name: by-name}}
spec:
  endpointSelector: {{matchLabels: {{app: client}}}}
  egress:
    - toEndpoints:
        - matchLabels: {{"k8s:io.kubernetes.pod.namespace": kube-system, "k8s:k8s-app": kube-dns}}
      toPorts:
        - ports: [{{port: "53", protocol: ANY}}]
          rules: {{dns: [{{matchName: {ALLOWED}}}, {{matchName: {MANY}}}, {{matchName: {SHORT}.svc.cluster.local}}]}}
    - toFQDNs: [{{matchName: {ALLOWED}}}, {{matchName: {MANY}}}]
---
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata:
  name: addresses-only
  annotations: {{namewall.io/dns-types: "A, AAAA", namewall.io/min-ttl: "600"}}
spec:
  endpointSelector: {{matchLabels: {{app: typed}}}}
  egress:
    - toEndpoints:
        - matchLabels: {{"k8s:io.kubernetes.pod.namespace": kube-system, "k8s:k8s-app": kube-dns}}
      toPorts:
        - ports: [{{port: "53", protocol: ANY}}]
          rules: {{dns: [{{matchPattern: "*"}}]}}
    - toFQDNs: [{{matchName: {ALLOWED}}}]
"""
POD = """
---
apiVersion: v1
kind: Pod
metadata: {{name: {name}, labels: {{app: {name}}}}}
spec:
  runtimeClassName: host
  terminationGracePeriodSeconds: 1
  containers: [{{name: main, command: [sleep, infinity]}}]
"""
RESOLVE = """
import socket, sys, time
began = time.monotonic()
try:
    found = sorted({entry[4][0] for entry in socket.getaddrinfo(sys.argv[1], 443, type=socket.SOCK_STREAM)})
except socket.gaierror as error:
    found = error.errno
print([found, time.monotonic() - began])
"""


class Pods:
    def __init__(self, lab: Lab, program: Path) -> None:
        self.lab, self._program = lab, program

    def kubectl(self, *arguments: str, text: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self._program, *arguments],
            input=text,
            capture_output=True,
            text=True,
            check=False,
            env=self.lab.environment,
            timeout=90,
        )

    def run(self, pod: str, *command: str) -> str:
        """Standard output and errors of a command in the pod."""
        done = self.kubectl("exec", pod, "--", *command)
        return done.stdout + done.stderr

    def dig(self, *arguments: str, pod: str = "client") -> str:
        return self.run(pod, "dig", "+tries=1", "+time=3", *arguments)

    def resolves(self, name: str, pod: str = "client") -> tuple[list[str] | int, float]:
        """glibc's getaddrinfo: the addresses or the error, and the seconds it took."""
        found, seconds = ast.literal_eval(self.run(pod, "python3", "-c", RESOLVE, name))
        return found, seconds

    def code(self, name: str, pod: str = "client") -> str:
        return self.run(
            pod,
            "curl",
            "-sk",
            "--connect-timeout",
            "2",
            "-o",
            "/dev/null",
            "-w",
            "%{http_code}",
            f"https://{name}",
        )[:3]


@pytest.fixture(scope="module")
def pods(program: Path) -> Iterator[Pods]:
    slot = netns.free_slot()
    world = page_world(slot)
    many = Site(MANY, tuple(slot_networks(slot)[2][0x1000 + number] for number in range(100)), 30)
    with cluster.lab(replace(world, sites=(*world.sites, many))) as lab:
        here = Pods(lab, program)
        objects = OBJECTS + "".join(POD.format(name=name) for name in ("client", "typed"))
        done = here.kubectl("apply", "-f", "-", text=objects)
        assert done.returncode == 0, done.stderr
        done = here.kubectl("wait", "--for=condition=Ready", "pod", "client", "typed", "--timeout=60s")
        assert done.returncode == 0, done.stdout + done.stderr + lab.logs()
        yield here


@pytest.mark.parametrize("family", ["-4", "-6"])
def test_dig_over_tcp(pods: Pods, family: str) -> None:
    servers = [str(address) for address in _dns_addresses(pods.lab)]
    server = next(one for one in servers if (":" in one) == (family == "-6"))
    answer = pods.dig("+tcp", f"@{server}", f"{ALLOWED}.", "A")
    assert "status: NOERROR" in answer
    assert "ANSWER: 3" in answer
    refused = pods.dig("+tcp", f"@{server}", f"{DENIED}.", "A")
    assert "status: REFUSED" in refused
    assert "EDE: 15 (Blocked)" in refused


def _dns_addresses(lab: Lab) -> list[object]:
    return [network[10] for network in lab.services]


def test_what_came_over_tcp_can_be_reached(pods: Pods) -> None:
    """Names that this pod asked for over TCP only: the addresses are open when dig has them."""
    addresses = pods.dig("+tcp", "+short", f"{ALLOWED}.", "AAAA").split()
    assert len(addresses) == 2
    for address in addresses:
        code = pods.run(
            "client",
            *("curl", "-sk", "--connect-timeout", "2", "-o", "/dev/null", "-w", "%{http_code}"),
            *("--resolve", f"{ALLOWED}:443:[{address}]", f"https://{ALLOWED}"),
        )
        assert code[:3] == "200"


def test_an_answer_too_long_for_udp(pods: Pods) -> None:
    """100 addresses are 2,800 octets: cut short over UDP, then whole over TCP."""
    short = pods.dig("+ignore", "+bufsize=4096", f"{MANY}.", "AAAA")
    assert "tc" in next(line for line in short.splitlines() if ";; flags:" in line)
    whole = pods.dig("+bufsize=4096", f"{MANY}.", "AAAA")
    assert "Truncated, retrying in TCP mode" in whole
    assert "ANSWER: 100" in whole
    found, seconds = pods.resolves(MANY)
    assert isinstance(found, list)
    assert len(found) == 100
    assert seconds < 2
    assert pods.code(MANY) == "200"


def test_the_search_list_does_not_stop_at_names_that_are_denied(pods: Pods) -> None:
    """`kubernetes.io.default.svc.cluster.local` is asked for first; told REFUSED a resolver would end there."""
    found, seconds = pods.resolves(ALLOWED)
    assert isinstance(found, list)
    assert len(found) == 5
    assert seconds < 1
    assert pods.code(ALLOWED) == "200"
    found, seconds = pods.resolves(SHORT)
    assert found == sorted(map(str, _dns_addresses(pods.lab)))
    assert seconds < 1
    denied, seconds = pods.resolves(DENIED)
    assert isinstance(denied, int)
    assert seconds < 1
    assert pods.code(DENIED) == "000"
    below = pods.dig(f"{ALLOWED}.default.svc.cluster.local.")
    assert "status: NXDOMAIN" in below
    assert "EDE: 15 (Blocked)" in below
    assert "status: REFUSED" in pods.dig(f"{DENIED}.")


def test_busybox_resolves_too(pods: Pods) -> None:
    """nslookup of busybox asks for A and AAAA at once on one socket, as musl does."""
    answer = pods.run("client", "busybox", "nslookup", ALLOWED)
    assert answer.count("Address") >= 5, answer
    assert "can't find" in pods.run("client", "busybox", "nslookup", DENIED)


def test_types_and_least_ttl_by_annotation(pods: Pods) -> None:
    assert "status: NOERROR" in pods.dig(f"{ALLOWED}.", "A", pod="typed")
    assert "status: NOERROR" in pods.dig(f"{ALLOWED}.", "AAAA", "+tcp", pod="typed")
    for how in ("+notcp", "+tcp"):
        refused = pods.dig(f"{ALLOWED}.", "TXT", how, pod="typed")
        assert "status: REFUSED" in refused
        assert "EDE: 15 (Blocked)" in refused
    assert pods.code(ALLOWED, pod="typed") == "200"
    done = pods.kubectl("annotate", "cnp", "addresses-only", "namewall.io/dns-types-")
    assert done.returncode == 0, done.stderr
    deadline = time.monotonic() + 5
    while "status: REFUSED" in pods.dig(f"{ALLOWED}.", "TXT", pod="typed"):
        assert time.monotonic() < deadline
    done = pods.kubectl("annotate", "cnp", "addresses-only", "namewall.io/dns-types=A,BANANA")
    assert done.returncode != 0
    assert "metadata.annotations[namewall.io/dns-types]: `BANANA` is no type of question" in done.stderr


def test_tls_for_another_name_at_an_allowed_address(pods: Pods) -> None:
    """With `verify-name` the address is open for the name that opened it, and for no other."""

    def fronted() -> str:
        address = pods.dig("+short", f"{ALLOWED}.", "A").split()[0]
        return pods.run(
            "client",
            *("curl", "-sk", "--connect-timeout", "2", "-m", "3", "-o", "/dev/null", "-w", "%{http_code}"),
            *("--resolve", f"{DENIED}:443:{address}", f"https://{DENIED}"),
        )[:3]

    assert fronted() == "200"
    assert pods.kubectl("annotate", "cnp", "by-name", "namewall.io/verify-name=sni").returncode == 0
    deadline = time.monotonic() + 5
    while fronted() == "200":
        assert time.monotonic() < deadline
    for _ in range(5):
        assert pods.code(ALLOWED) == "200"
        assert fronted() == "000"
    dropped = pods.lab.namewall("observe", "--all", "--verdict", "DROPPED", "-o", "compact").stdout
    assert "TLS name not granted" in dropped
    assert pods.kubectl("annotate", "cnp", "by-name", "namewall.io/verify-name-").returncode == 0


def test_without_the_agent_tcp_fails_closed_and_udp_goes_on(pods: Pods) -> None:
    victim = next(
        Process.of(process["pid"]) for process in pods.lab.status()["processes"] if process["name"] == "agent"
    )
    os.kill(victim.pid, signal.SIGKILL)
    while victim.alive:
        time.sleep(0.01)
    assert "status:" not in pods.dig("+tcp", f"{ALLOWED}.", "A")
    assert "status: NOERROR" in pods.dig(f"{ALLOWED}.", "A")
    assert pods.code(ALLOWED) == "200"
    pods.lab.up()
    assert "status: NOERROR" in pods.dig("+tcp", f"{ALLOWED}.", "A")
    assert "status: REFUSED" in pods.dig("+tcp", f"{DENIED}.", "A")


def test_the_rules_and_routes_are_there_once(pods: Pods) -> None:
    """And after `down` not at all: test_hygiene.py compares the host before and after."""
    mark = hex(pods.lab.instance.proxy_mark)
    for family in ("-4", "-6"):
        assert run("ip", family, "rule", "show").count(mark) == 1
        assert "local default" in run(
            "ip", family, "route", "show", "table", str(pods.lab.instance.route_table)
        )


def test_what_came_over_tcp_is_seen(pods: Pods) -> None:
    pods.dig("+tcp", f"{ALLOWED}.", "A")
    pods.dig("+tcp", f"{DENIED}.", "A")
    done = pods.lab.namewall("observe", "--all", "--protocol", "dns", "-o", "jsonpb")
    flows = [json.loads(line)["flow"] for line in done.stdout.splitlines()]
    by_tcp = [flow for flow in flows if "TCP" in flow.get("l4", {})]
    seen = {(flow["l7"]["dns"]["query"], flow["verdict"]) for flow in by_tcp}
    assert {(f"{ALLOWED}.", "FORWARDED"), (f"{DENIED}.", "DROPPED")} <= seen


@pytest.mark.long
def test_refused_always_ends_a_search_list(program: Path) -> None:
    """Why the default is what it is. And glibc takes the A it gets where AAAA is refused."""
    with cluster.lab(page_world(netns.free_slot()), more=("--dns-refusal", "refused")) as lab:
        pods = Pods(lab, program)
        objects = OBJECTS.replace('"A, AAAA"', '"A"') + "".join(
            POD.format(name=name) for name in ("client", "typed")
        )
        assert pods.kubectl("apply", "-f", "-", text=objects).returncode == 0
        done = pods.kubectl("wait", "--for=condition=Ready", "pod", "client", "typed", "--timeout=60s")
        assert done.returncode == 0, done.stdout + done.stderr + lab.logs()
        assert "status: REFUSED" in pods.dig(f"{ALLOWED}.default.svc.cluster.local.")
        # glibc gives up the list, and tries only the name as it stands.
        assert pods.resolves(SHORT)[0] == socket.EAI_AGAIN
        found, _ = pods.resolves(ALLOWED)
        assert isinstance(found, list)
        addresses, _ = pods.resolves(f"{ALLOWED}.", pod="typed")
        assert isinstance(addresses, list)
        assert len(addresses) == 3
