"""The page as data: every step with the command a reader types and what the page says comes out.

Pure. `steps` lists them in the page's order for a scene; `Outcome` is what a terminal showed; each
expectation is a function from an outcome to the difference, None where there is none. play.py types and
prints.

The page does not show everything its reader relies on. Two policies of the page before it are in force when
it begins ("with the ingress and egress policies in place"), so the steps begin with those.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from lab.scene import FILES, PAGE, Scene

CONNECT_TIMEOUT = (5.0, 5.2)
"""Seconds that `curl --connect-timeout 5` takes to give up; a little is left for its own work."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """`output` is what a terminal showed, or stdout alone where there was none; `errors` is stderr then.

    `code` is that of the first command of a pipe (`${PIPESTATUS[0]}`), `seconds` how long the line took.
    """

    output: str
    code: int
    seconds: float
    errors: str = ""


Expectation = Callable[[Outcome], str | None]


@dataclass(frozen=True, slots=True)
class Step:
    """`terminal` False: the line is run without one, so that stderr and the exit code tell.

    `stores` names the shell variable the line assigns, for the steps after it.
    """

    about: str
    line: str
    expect: Expectation
    terminal: bool = True
    stores: str | None = None


def lines(*patterns: str, code: int = 0) -> Expectation:
    """The output is exactly these lines, each a regular expression, and the command ends with `code`."""

    def check(outcome: Outcome) -> str | None:
        got = outcome.output.strip().splitlines()
        if outcome.code != code:
            return f"exit code {outcome.code}, not {code}"
        if len(got) != len(patterns):
            return f"{len(got)} lines, not {len(patterns)}"
        for line, pattern in zip(got, patterns, strict=True):
            if not re.fullmatch(pattern, line.strip()):
                return f"`{line.strip()}` is not `{pattern}`"
        return None

    return check


def reached(status: str = r"HTTP/2 200") -> Expectation:
    """The first line is the status line of an answer."""

    def check(outcome: Outcome) -> str | None:
        first = next((line.strip() for line in outcome.output.splitlines() if line.strip()), "nothing")
        return None if re.fullmatch(status, first) else f"`{first}` is not `{status}`"

    return check


def timed_out(outcome: Outcome) -> str | None:
    """`curl: (28)` and the exit code 28, after the connect timeout and not much later.

    In a terminal head(1) swallows the exit code and shows curl's words; without one it is the other way
    round, and curl's words are on stderr.
    """
    text = outcome.output + outcome.errors
    said = re.search(r"curl: \(28\) (?!Resolving).*", text)  # a name that is not resolved is another matter
    if not said:
        words = " ".join(text.split())[:120]
        return f"no `curl: (28)` in `{words}`"
    if outcome.code != 28:
        return f"exit code {outcome.code}, not 28"
    if "command terminated with exit code 28" not in text:
        return "no `command terminated with exit code 28`"
    figure = re.search(r"after (\d+) (?:ms|milliseconds)", said.group())
    seconds = int(figure.group(1)) / 1000 if figure else outcome.seconds
    least, most = CONNECT_TIMEOUT
    if not least <= seconds <= most:
        return f"curl gave up after {seconds:.3f} s, not {least} to {most} s"
    return (
        None if outcome.seconds >= least else f"the command took {outcome.seconds:.3f} s, less than {least} s"
    )


def steps(scene: Scene = PAGE) -> list[Step]:
    return [
        *_cluster_dns(scene),
        *_workloads(scene),
        *_nothing_blocked(scene),
        *_ingress(scene),
        *_egress(scene),
        *_clean_up(scene),
    ]


def prepare(scene: Scene = PAGE) -> list[Step]:
    """What is there before the page begins: workloads, and the ingress policies of the page before it."""
    return [
        *_cluster_dns(scene),
        *_workloads(scene),
        _apply(scene, "ingress_deny"),
        _apply(scene, "ingress_allow"),
    ]


def shuffled(scene: Scene) -> list[Step]:
    """The cluster DNS as the scene has it; all policies in the scene's order; what they say together;
    clean-up."""
    return [
        *_cluster_dns(scene),
        *_workloads(scene),
        *(_apply(scene, role) for role in scene.order),
        *_ingress(scene)[-2:],
        *_egress(scene)[1:4],
        *_clean_up(scene),
    ]


def egress(scene: Scene = PAGE) -> list[Step]:
    """The page itself, on top of `prepare`."""
    return [_variables(scene)[0], *_nothing_blocked(scene), *_egress(scene), *_clean_up(scene)]


def _workloads(s: Scene) -> list[Step]:
    created = lines(
        f"deployment.apps/{s.backend} created",
        f"service/{s.backend} created",
        f"deployment.apps/{s.frontend} created",
        f"deployment.apps/{s.stranger} created",
    )
    rolled = [
        Step(
            f"{name} comes up",
            f"kubectl rollout status deployment {name} --timeout=60s",
            _ends_with(f'deployment "{name}" successfully rolled out'),
        )
        for name in (s.backend, s.frontend, s.stranger)
    ]
    return [
        Step("three workloads", f"kubectl apply -f {FILES['workloads']}", created),
        *rolled,
        *_variables(s),
    ]


def _cluster_dns(s: Scene) -> list[Step]:
    """Replicas and targetPort of kube-dns, by what a reader would type. Nothing where they are the page's."""
    if (s.dns_replicas, s.dns_port) == (PAGE.dns_replicas, PAGE.dns_port):
        return []
    dns = "kubectl -n kube-system"
    ports = ",".join(
        f'{{"op":"replace","path":"/spec/ports/{index}/targetPort","value":{s.dns_port}}}' for index in (0, 1)
    )
    return [
        Step(
            f"kube-dns listens on {s.dns_port}",
            f"{dns} patch service kube-dns --type=json -p '[{ports}]'",
            lines(r"service/kube-dns patched(?: \(no change\))?"),
        ),
        Step(
            f"{s.dns_replicas} replicas of it",
            f"{dns} scale deployment cluster-dns --replicas={s.dns_replicas}",
            lines("deployment.apps/cluster-dns scaled"),
        ),
        Step(
            "they come up",
            f"{dns} rollout status deployment cluster-dns --timeout=60s",
            _ends_with('deployment "cluster-dns" successfully rolled out'),
        ),
    ]


def _variables(s: Scene) -> list[Step]:
    named = [("BACKEND", s.backend), ("FRONTEND", s.frontend), ("NOT_FRONTEND", s.stranger)]
    return [
        Step(
            f"the name of the {pod} pod",
            f"{variable}=$(kubectl get pods -l {s.label}={pod} -o jsonpath='{{.items[0].metadata.name}}')\n"
            f"echo ${{{variable}}}",
            lines(rf"{re.escape(pod)}-[0-9a-z]+-[0-9a-z]{{5}}"),
            stores=variable,
        )
        for variable, pod in named
    ]


def _nothing_blocked(s: Scene) -> list[Step]:
    return [
        _call(s, s.allowed, reached(), "all traffic is allowed by default"),
        _call(s, s.denied, reached(), "all traffic is allowed by default"),
    ]


def _ingress(s: Scene) -> list[Step]:
    works, blocked = reached(r"HTTP/1\.[01] 200 OK"), timed_out
    return [
        _ask(s, "FRONTEND", works, "no policy yet: the frontend reaches the backend"),
        _ask(s, "NOT_FRONTEND", works, "no policy yet: so does anybody"),
        _apply(s, "ingress_deny"),
        _ask(s, "FRONTEND", blocked, "all ingress to the backend is denied"),
        _ask(s, "NOT_FRONTEND", blocked, "all ingress to the backend is denied"),
        _apply(s, "ingress_allow"),
        _ask(s, "FRONTEND", works, "the frontend is let in"),
        _ask(s, "NOT_FRONTEND", blocked, "nobody else is"),
    ]


def _egress(s: Scene) -> list[Step]:
    table = lines(r"NAME +AGE +VALID", rf"{s.policy} +\d+s +True")
    return [
        _apply(s, "egress_fqdn"),
        Step("the policy was created, and is valid", "kubectl get cnp", table),
        _call(s, s.allowed, reached(), "the allowed name is reached"),
        _call(s, s.denied, timed_out, "the other is not"),
        _call(s, s.allowed, _status_200, "the same without a terminal", terminal=False),
        _call(s, s.denied, timed_out, "the same without a terminal", terminal=False),
    ]


def _clean_up(s: Scene) -> list[Step]:
    deleted = lines(
        rf'ciliumnetworkpolicy\.cilium\.io "{s.policy}" deleted(?: from {s.namespace} namespace)?',
    )
    return [
        Step("the policy is deleted", f"kubectl delete cnp {s.policy}", deleted),
        _call(s, s.allowed, reached(), "all egress is allowed again"),
        _call(s, s.denied, reached(), "all egress is allowed again"),
    ]


def _apply(s: Scene, role: str) -> Step:
    kind, name = {
        "ingress_deny": ("networkpolicy.networking.k8s.io", s.deny),
        "ingress_allow": ("networkpolicy.networking.k8s.io", s.allow),
        "egress_fqdn": ("ciliumnetworkpolicy.cilium.io", s.policy),
    }[role]
    return Step("a policy", f"kubectl apply -f {FILES[role]}", lines(f"{re.escape(kind)}/{name} created"))


def _call(s: Scene, name: str, expect: Expectation, about: str, *, terminal: bool = True) -> Step:
    line = f"kubectl exec -ti ${{BACKEND}} -- curl -Ik --connect-timeout 5 {s.url(name)} | head -1"
    return Step(about, line, expect, terminal)


def _ask(s: Scene, who: str, expect: Expectation, about: str) -> Step:
    line = (
        f"kubectl exec -ti ${{{who}}} -- curl -I --connect-timeout 5 {s.backend}:{s.service_port} | head -1"
    )
    return Step(about, line, expect)


def _status_200(outcome: Outcome) -> str | None:
    # head(1) may close the pipe before kubectl has written all of it: its exit code then is SIGPIPE's
    if outcome.code not in (0, 128 + 13):
        return f"exit code {outcome.code}, not 0"
    return reached()(outcome)


def _ends_with(wanted: str) -> Expectation:
    def check(outcome: Outcome) -> str | None:
        last = (outcome.output.strip().splitlines() or ["nothing"])[-1].strip()
        if outcome.code != 0:
            return f"exit code {outcome.code}, not 0"
        return None if last == wanted else f"`{last}` is not `{wanted}`"

    return check
