"""The page as data: its files are the page's, and its verdicts can fail."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from lab import page
from lab.names import random_world
from lab.page import Outcome, lines, reached, timed_out
from lab.scene import FILES, PAGE, manifest, random_scene

MANIFESTS = Path(page.__file__).parent / "manifests"
GAVE_UP = "curl: (28) Failed to connect to cilium.io port 443 after 5004 ms: Timeout was reached\n"
ENDED = "command terminated with exit code 28\n"


def test_the_page_types_the_lines_of_the_page() -> None:
    typed = [step.line for step in page.egress()]
    for line in (
        "BACKEND=$(kubectl get pods -l app=backend -o jsonpath='{.items[0].metadata.name}')\necho ${BACKEND}",
        "kubectl exec -ti ${BACKEND} -- curl -Ik --connect-timeout 5 https://kubernetes.io | head -1",
        "kubectl exec -ti ${BACKEND} -- curl -Ik --connect-timeout 5 https://cilium.io | head -1",
        "kubectl apply -f backend-egress-allow-fqdn.yaml",
        "kubectl get cnp",
        "kubectl delete cnp backend-egress-allow-fqdn",
    ):
        assert line in typed


def test_the_manifest_is_the_one_of_the_page_word_for_word() -> None:
    text = (MANIFESTS / FILES["egress_fqdn"]).read_text()
    assert manifest(PAGE, text) == text
    assert text.startswith("---\nkind: CiliumNetworkPolicy\napiVersion: cilium.io/v2\n")
    assert text.endswith("    - toFQDNs:\n        - matchName: kubernetes.io\n")


@pytest.mark.parametrize("file", FILES.values())
def test_a_drawn_scene_keeps_the_shape_of_every_manifest_and_none_of_its_words(file: str) -> None:
    text = (MANIFESTS / file).read_text()
    scene = random_scene(7, random_world(7))
    drawn = manifest(scene, text)
    assert [d["kind"] for d in yaml.safe_load_all(drawn)] == [d["kind"] for d in yaml.safe_load_all(text)]
    leftovers = {"kubernetes.io", "cilium.io", "backend", "frontend", "app", 8080} & set(_leaves(drawn))
    assert leftovers == set()


def _leaves(text: str) -> list[object]:
    found: list[object] = []

    def walk(value: object) -> None:
        if isinstance(value, dict):
            found.extend(value)
            for item in value.values():
                walk(item)
        elif isinstance(value, list):
            for item in value:
                walk(item)
        else:
            found.append(value)

    for document in yaml.safe_load_all(text):
        walk(document)
    return found


@given(st.integers())
def test_a_drawn_scene_has_words_of_its_own_for_every_role(seed: int) -> None:
    scene = random_scene(seed, random_world(seed))
    roles = (scene.backend, scene.frontend, scene.stranger, scene.policy, scene.deny, scene.allow)
    assert len({*roles, scene.label, scene.namespace}) == 8
    assert scene.allowed != scene.denied


IN_A_TERMINAL = Outcome(GAVE_UP + ENDED, 28, 5.1)
WITHOUT_ONE = Outcome("", 28, 5.1, "Unable to use a TTY\n" + GAVE_UP + ENDED)


@pytest.mark.parametrize("outcome", [IN_A_TERMINAL, WITHOUT_ONE])
def test_a_time_out_is_seen_with_and_without_a_terminal(outcome: Outcome) -> None:
    assert timed_out(outcome) is None


@pytest.mark.parametrize(
    ("outcome", "difference"),
    [
        (replace(IN_A_TERMINAL, code=0), "exit code 0, not 28"),
        (replace(IN_A_TERMINAL, output="HTTP/2 200\n"), "no `curl: (28)` in `HTTP/2 200`"),
        (replace(IN_A_TERMINAL, output="curl: (7) refused\n" + ENDED, code=7), "no `curl: (28)`"),
        (
            replace(IN_A_TERMINAL, output="curl: (28) Resolving timed out after 5001 milliseconds\n"),
            "no `curl: (28)`",
        ),
        (replace(IN_A_TERMINAL, output=GAVE_UP), "no `command terminated"),
        (replace(IN_A_TERMINAL, output=GAVE_UP.replace("5004", "5301") + ENDED), "5.301 s, not 5.0 to 5.2"),
        (replace(IN_A_TERMINAL, output=GAVE_UP.replace("5004", "3200") + ENDED), "3.200 s, not 5.0 to 5.2"),
        (replace(IN_A_TERMINAL, seconds=0.3), "took 0.300 s, less than 5.0 s"),
        (replace(IN_A_TERMINAL, output="curl: (28) gave up\n" + ENDED, seconds=9.0), "9.000 s, not 5.0"),
    ],
)
def test_what_is_not_that_time_out_differs(outcome: Outcome, difference: str) -> None:
    assert difference in (timed_out(outcome) or "")


def test_the_first_line_tells_whether_a_name_was_reached() -> None:
    assert reached()(Outcome("HTTP/2 200 \n", 0, 0.1)) is None
    assert reached()(Outcome("HTTP/2 404 \n", 0, 0.1)) == "`HTTP/2 404` is not `HTTP/2 200`"
    assert reached()(Outcome("", 28, 5.0)) == "`nothing` is not `HTTP/2 200`"


def test_lines_are_compared_one_by_one_and_the_exit_code_too() -> None:
    check = lines(r"a+", "b")
    assert check(Outcome("aa\nb\n", 0, 0.0)) is None
    assert check(Outcome("aa\n", 0, 0.0)) == "1 lines, not 2"
    assert check(Outcome("aa\nc\n", 0, 0.0)) == "`c` is not `b`"
    assert check(Outcome("aa\nb\n", 1, 0.0)) == "exit code 1, not 0"
