"""validate, match, simulate and test as a user types them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st

from namewall.cli.main import main
from namewall.cli.test import selector
from namewall.review.objects import is_other

GOOD = """\
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: good, namespace: default}
spec:
  endpointSelector: {}
  egress: [{toFQDNs: [{matchName: kubernetes.io}]}]
"""
BAD = """\
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: bad}
spec:
  endpointSelector: {}
  egress:
    - toFQDNs:
        - matchPattern: "exa mple.*"
      toPorts:
        - ports: [{port: "66000"}]
  ingres: [{}]
"""
HTTP = """\
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: http}
spec:
  endpointSelector: {}
  ingress:
    - toPorts:
        - ports: [{port: "80", protocol: TCP}]
          rules: {http: [{method: GET}]}
"""
DEPLOYMENT = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\n"
SCENARIO = """\
endpoints:
  - {name: web, labels: {app: web}}
policyFiles: [policy.yaml]
tests:
  - {name: the name, from: web, to: "kubernetes.io:443", expect: allow}
  - {name: another name, from: web, to: "203.0.113.9:443", expect: deny}
"""
PIECES = [
    "\n",
    "  ",
    "- ",
    ": ",
    "[",
    "]",
    "{",
    "}",
    "&a ",
    "*a",
    "!!int ",
    "'",
    '"',
    "|",
    "null",
    "7",
    "\0",
    "<<: *a",
]
DNS = """\
    - toEndpoints: [{matchLabels: {"k8s:io.kubernetes.pod.namespace": kube-system}}]
"""
POLICY = GOOD.replace(
    "  egress: [{toFQDNs: [{matchName: kubernetes.io}]}]\n",
    f"  egress:\n{DNS}    - toFQDNs: [{{matchName: kubernetes.io}}]\n",
)


def run(*words: str | Path, text: str | bytes = "") -> Result:
    return CliRunner().invoke(main, [str(word) for word in words], input=text)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name, text in (("policy.yaml", POLICY), ("web.test.yaml", SCENARIO)):
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


# --- validate --------------------------------------------------------------------------------------------------


def test_valid_policies_end_in_0_and_say_nothing_on_stdout() -> None:
    result = run("validate", "-", text=f"{GOOD}---\n{DEPLOYMENT}")
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr == "namewall: 1 checked, 0 invalid, 1 other object left out\n"


def test_all_problems_are_said_at_once_with_file_line_and_field(folder: Path) -> None:
    (folder / "sub").mkdir()
    (folder / "sub" / "bad.yaml").write_text(f"{GOOD}---\n{BAD}", encoding="utf-8")
    (folder / "sub" / "broken.json").write_text('{"kind": "x",\n "kind": "y"}', encoding="utf-8")
    result = run("validate", "sub")
    assert result.exit_code == 2
    lines = result.stdout.splitlines()
    assert [line.partition(": ")[0] for line in lines] == [
        "sub/bad.yaml:15",
        "sub/bad.yaml:17",
        "sub/bad.yaml:18",
        "sub/broken.json:2",
    ]
    fields = [line.split(": ")[1] for line in lines]
    assert fields[:3] == [
        "spec.egress[0].toFQDNs[0].matchPattern",
        "spec.egress[0].toPorts[0].ports[0].port",
        "spec.ingres",
    ]
    assert lines[3] == 'sub/broken.json:2: kind: key "kind" already set in map'
    assert result.stderr == "namewall: 3 checked, 2 invalid\n"


def test_what_cannot_be_enforced_is_valid_and_said() -> None:
    result = run("validate", "-", text=HTTP)
    assert result.exit_code == 0
    assert result.stdout.startswith(
        "STDIN:9: spec.ingress[0].toPorts[0].rules.http: HTTP rules cannot be enforced"
    )
    row = json.loads(run("validate", "-o", "json", "-", text=HTTP).stdout)["policies"][0]
    assert (row["accepted"], row["enforceable"]) == (True, False)
    assert row["unenforceable"][0]["line"] == 9


def test_what_is_nearly_right_is_told_what_is_meant() -> None:
    near = BAD.replace("ingres:", "ingres: []\n  egres:")
    lines = run("validate", "-", text=near).stdout.splitlines()
    assert [line for line in lines if "spec.ingres:" in line] == [
        'STDIN:11: spec.ingres: unknown field "spec.ingres"; did you mean `ingress`?'
    ]
    assert not [line for line in lines if "spec.egres:" in line and "did you mean" in line], "it is there"
    for before, after, words in (
        ("kind: CiliumNetworkPolicy", "kind: CiliumNetworkPolice", "did you mean `CiliumNetworkPolicy`?"),
        ("kind: CiliumNetworkPolicy", "Kind: CiliumNetworkPolicy", "did you mean `kind`?"),
        (
            "cilium.io/v2",
            "cilium.io/v1",
            "`cilium.io/v1` is no version of CiliumNetworkPolicy; use cilium.io/v2\n",
        ),
        ("apiVersion: cilium.io/v2", "apiversion: cilium.io/v2", "did you mean `apiVersion`?"),
        ("apiVersion: cilium.io/v2\n", "", "apiVersion: Required value: write cilium.io/v2"),
        ("matchName", "matchname", "matchname: unknown field"),
    ):
        assert before in GOOD
        result = run("validate", "-", text=GOOD.replace(before, after))
        assert (result.exit_code, words in result.stdout) == (2, True), result.output
    row = json.loads(run("validate", "-o", "json", "-", text=near).stdout)["policies"][0]
    assert {problem["path"]: problem["meant"] for problem in row["problems"]}["spec.ingres"] == "ingress"
    batch = json.loads(
        run("validate", "--batch", "-", text='{"id": 1, "policy": {"kind": "Networkpolicy"}}').stdout
    )
    assert batch["error"].endswith("; did you mean `NetworkPolicy`?")


def test_a_misspelt_policy_is_no_other_object() -> None:
    text = "apiVersion: v1\nkind: networkpolicy\nmetadata: {name: a}\nspec: {podSelector: {}}\n"
    result = run("validate", "-", text=text)
    assert (result.exit_code, "did you mean `NetworkPolicy`?" in result.stdout) == (2, True)


@pytest.mark.parametrize("output", ["json", "yaml"])
def test_validate_for_programs(output: str) -> None:
    import yaml

    found = yaml.safe_load(run("validate", "-o", output, "-", text=BAD).stdout)
    (row,) = found["policies"]
    assert (row["name"], row["accepted"], row["enforceable"], row["line"]) == ("bad", False, None, 1)
    assert {problem["line"] for problem in row["problems"]} == {8, 10, 11}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no policy found"),
        (DEPLOYMENT, "no policy found"),
        ("kind: CiliumNetworkPolicyy\napiVersion: cilium.io/v2\n", "is no policy; use one of"),
        ("kind: NetworkPolicy\napiVersion: v1\n", "is no version of NetworkPolicy"),
        (
            "kind: CiliumCIDRGroup\napiVersion: cilium.io/v2\nmetadata: {name: a}\nspec: {externalCIDRs: [x]}\n",
            "spec.externalCIDRs[0]",
        ),
        ("# words\nhello\n", "STDIN:2: a policy must be an object"),
        ("[" * 100_000, "nested deeper than 100"),
        (GOOD + "\0", "control characters are not allowed"),
        ("apiVersion: v1\nkind: List\nitems: [1, {kind: 7}]\n", "STDIN:3: "),
    ],
)
def test_what_is_not_valid_ends_in_2(text: str, words: str) -> None:
    result = run("validate", "-", text=text)
    assert result.exit_code == 2
    assert words in result.output


@pytest.mark.parametrize(
    ("metadata", "path", "words"),
    [
        (f"name: {'a' * 300}", "name", "must be no more than 253 bytes"),
        *(
            (f"name: {json.dumps(name)}", "name", "a lowercase RFC 1123 subdomain must consist of lower case")
            for name in ("Foo_Bar", "a/b", "-x", "{{ .Values.name }}")
        ),
        ("name: '{{ .Values.name }}'", "name", "; it looks like a Helm template: render it first"),
        ("name: 123", "name", 'must be of type string: "integer"; write "123" in quotes'),
        ("name: yes", "name", "YAML reads it as a boolean: write it in quotes"),
        ("name: a, namespace: Foo_Bar", "namespace", "a lowercase RFC 1123 label must consist of"),
        ("name: a, namespace: a.b", "namespace", "a lowercase RFC 1123 label must consist of"),
        ("name: a, labels: {foo: 1}", "labels[foo]", 'must be of type string: "integer"'),
        ("name: a, labels: {foo: a b}", "labels[foo]", "a valid label must be an empty string or"),
        ("name: a, annotations: [a]", "annotations", 'must be of type object: "array"'),
        ("name: a, annotations: {foo: true}", "annotations[foo]", 'must be of type string: "boolean"'),
        (
            "name: a, annotations: {namewall.io/verfy-name: sni}",
            "annotations[namewall.io/verfy-name]",
            "did you mean `namewall.io/verify-name`?",
        ),
        ("name: a, annotations: {namewall.io/min-ttl: 300}", "annotations[namewall.io/min-ttl]", "in quotes"),
    ],
)
def test_metadata_is_held_against_what_an_api_server_takes(metadata: str, path: str, words: str) -> None:
    """In policies and groups of ranges; a scenario takes policies as they are enforced once they are there."""
    group = "apiVersion: cilium.io/v2\nkind: CiliumCIDRGroup\nmetadata: {}\nspec: {externalCIDRs: []}\n"
    for text in (GOOD.replace("metadata: {name: good, namespace: default}", "metadata: {}"), group):
        result = run("validate", "-", text=text.replace("metadata: {}", f"metadata: {{{metadata}}}"))
        assert result.exit_code == 2
        (line,) = result.stdout.splitlines()
        assert line.startswith(f"STDIN:3: metadata.{path}: ")
        assert words in line


def test_what_an_api_server_takes_is_valid() -> None:
    names = "name: a.b-1, namespace: b, labels: {a.io/b: , c: ''}"
    metadata = (
        f"{names}, annotations: {{x: 'any thing', y: , namewall.io/mode: audit}}, generateName: , uid: x"
    )
    for text in (metadata, "name: a, labels: , annotations: "):
        policy = GOOD.replace("name: good, namespace: default", text)
        result = run("validate", "-", text=policy)
        assert (result.exit_code, result.stdout) == (0, ""), result.stdout


def test_a_scenario_s_policies_may_have_names_that_no_server_takes(folder: Path) -> None:
    (folder / "policy.yaml").write_text(POLICY.replace("name: good", "name: Foo_Bar"), encoding="utf-8")
    assert run("validate", "policy.yaml").exit_code == 2
    assert run("test", "web.test.yaml").exit_code == 0


def test_files_that_cannot_be_read_end_in_2(tmp_path: Path) -> None:
    for verb in ("validate", "simulate", "test"):
        for path in (tmp_path / "nothing.yaml", tmp_path, "a\0b"):
            result = run(verb, path)
            assert result.exit_code == 2, (verb, path)
            assert result.output.count(str(path).replace("\0", "\\x00")) == 1
            assert ": cannot be read: " in result.output or ": has no file that ends in " in result.output
        assert run(verb).exit_code == 2
    for verb in ("validate", "simulate", "match"):
        result = run(verb, "--batch", tmp_path / "nothing.jsonl")
        assert result.exit_code == 2
        assert "no such file" in result.stderr


def test_the_others_are_judged_where_one_cannot_be_read(folder: Path) -> None:
    (folder / "bad.yaml").write_text(BAD, encoding="utf-8")
    (folder / "sub").mkdir()
    for words in (("nothing.yaml", "bad.yaml"), ("bad.yaml", "nothing.yaml"), ("bad.yaml", "sub")):
        result = run("validate", *words)
        assert (result.exit_code, result.stdout.count("bad.yaml:")) == (2, 3)
        missed, summary = result.stderr.splitlines()
        assert missed.partition(": ")[0] in words
        assert summary == "namewall: 1 checked, 1 invalid, 1 not read"
    assert run("validate", "policy.yaml", "nothing.yaml").exit_code == 2
    found = json.loads(run("validate", "-o", "json", "nothing.yaml", "policy.yaml").stdout)
    assert [row["name"] for row in found["policies"]] == ["good"]
    assert [row["source"] for row in found["unreadable"]] == ["nothing.yaml"]
    result = run("test", "web.test.yaml", "nothing.yaml")
    assert (result.exit_code, result.stderr) == (2, "")
    assert "\nnothing.yaml: cannot be read: no such file or directory\n" in result.stdout
    assert "2 passed, 1 error" in result.stdout
    result = run("simulate", "nothing.yaml", "web.test.yaml")
    assert (result.exit_code, "spec.egress[1]" in result.stdout) == (2, True)
    assert result.stderr == "nothing.yaml: cannot be read: no such file or directory\n"
    broken = SCENARIO.replace("policy.yaml", "sub")
    (folder / "broken.test.yaml").write_text(broken, encoding="utf-8")
    result = run("test", "web.test.yaml", "broken.test.yaml")
    assert (result.exit_code, "2 passed, 1 error" in result.stdout) == (2, True)
    assert "\nsub: has no file that ends in .json, .yaml, .yml\n" in result.stdout


def test_a_file_in_which_nothing_is_is_named(folder: Path) -> None:
    for name, text in (("empty.yaml", ""), ("words.yaml", "# nothing\n---\n"), ("web.yaml", DEPLOYMENT)):
        (folder / name).write_text(text, encoding="utf-8")
    result = run("validate", "empty.yaml", "policy.yaml", "words.yaml", "web.yaml")
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr == (
        "namewall: no policy found in empty.yaml, words.yaml\n"
        "namewall: 1 checked, 0 invalid, 1 other object left out\n"
    )
    result = run("validate", "empty.yaml")
    assert (result.exit_code, result.stderr) == (2, "namewall: no policy found in empty.yaml\n")
    result = run("validate", "empty.yaml", "web.yaml")
    assert result.exit_code == 2
    assert result.stderr == "namewall: no policy found in empty.yaml, 1 other object left out\n"


def test_a_policy_is_told_to_be_no_scenario(folder: Path) -> None:
    for verb in ("simulate", "test"):
        result = run(verb, "policy.yaml")
        assert result.exit_code == 2
        assert (
            result.output.count("policy.yaml:1: an object of Kubernetes is no scenario; one has `queries`")
            == 1
        )
        assert "unknown field" not in result.output


def test_test_files_among_policies_are_checked_too(folder: Path) -> None:
    result = run("validate", ".")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "2 checked" in result.stderr
    (folder / "web.test.yaml").write_text(SCENARIO.replace("from: web", "frm: web"), encoding="utf-8")
    result = run("validate", ".")
    assert result.exit_code == 2
    assert 'web.test.yaml:5: tests[0].frm: unknown field "tests[0].frm"' in result.stdout


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from([POLICY, BAD, HTTP, SCENARIO.replace("policyFiles: [policy.yaml]\n", "")]),
    st.lists(
        st.tuples(st.integers(0, 400), st.integers(0, 30), st.text(max_size=4) | st.sampled_from(PIECES))
    ),
)
def test_mutated_text_is_answered(text: str, changes: list[tuple[int, int, str]]) -> None:
    """Never a traceback, whatever verb it is given to."""
    for at, length, new in changes:
        text = text[:at] + new + text[at + length :]
    raw = text.encode("utf-8", "surrogatepass")
    for verb in ("validate", "simulate", "test"):
        result = run(verb, "-", text=raw)
        assert result.exit_code in (0, 1, 2), text
        assert result.exception is None or isinstance(result.exception, SystemExit), text
        if result.exit_code == 2:
            assert result.output.strip()


# --- batches -----------------------------------------------------------------------------------------------------

QUESTION = {"id": "last", "policy": json.loads(json.dumps({"kind": "x"})), "pattern": "*.io", "name": "a.io"}
BATCH = ["", '{"id": 1', "[]", '"x"', '{"id": {"a": 1}}', "[" * 50_000, '{"id": 2, "id": 3}', '{"id": NaN}']


@pytest.mark.parametrize("verb", ["validate", "match", "simulate"])
def test_a_bad_line_has_its_row_and_the_batch_goes_on(verb: str) -> None:
    lines = [*BATCH, json.dumps(QUESTION if verb != "simulate" else {"id": "last"})]
    result = run(verb, "--batch", "-", text="\n".join(lines))
    assert result.exit_code == 2
    printed = [json.loads(line) for line in result.stdout.splitlines()]
    assert len(printed) == len(lines) - 1, "empty lines are no rows"
    assert len({tuple(row) for row in printed}) == 1, "always the same keys"
    assert printed[-1]["id"] == "last"
    assert any(value is not None for key, value in printed[-1].items() if key != "id")
    complaints = result.stderr.splitlines()
    assert complaints[0].startswith("STDIN:2: ")
    assert any(line.startswith("STDIN:6: nested deeper") for line in complaints)


def test_a_bad_row_keeps_its_id() -> None:
    result = run("validate", "--batch", "-", text='{"id": 7}\n{"id": 8, "policy": null}\n')
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    assert rows[0] == {
        "id": 7,
        "accepted": None,
        "error": "policy: a row needs one",
        "enforceable": None,
        "reason": None,
    }
    assert (rows[1]["accepted"], rows[1]["error"]) == (False, "a policy must be an object")
    assert result.exit_code == 2


def test_a_line_of_a_batch_reads_no_files(folder: Path) -> None:
    result = run("simulate", "--batch", "-", text='{"id": 1, "policyFiles": ["policy.yaml"]}\n')
    assert result.exit_code == 2
    assert json.loads(result.stdout) == {"id": 1, "policy_results": None, "queries": None}
    assert "policyFiles: not in a batch" in result.stderr


def test_no_utf_8_is_a_bad_line() -> None:
    result = run("match", "--batch", "-", text=b'{"id": "\xff"}\n')
    assert result.exit_code == 2
    assert "no UTF-8" in result.stderr


# --- match ---------------------------------------------------------------------------------------------------------


def test_match() -> None:
    result = run("match", "*.kubernetes.io", "a.kubernetes.io", "a.b.kubernetes.io")
    assert result.exit_code == 0
    assert [line.split() for line in result.stdout.splitlines()[1:]] == [
        ["a.kubernetes.io", "yes", "yes"],
        ["a.b.kubernetes.io", "no", "no"],
    ]
    rows = json.loads(run("match", "-o", "json", "*", "x y").stdout)["names"]
    assert (rows[0]["match_tofqdns"], rows[0]["match_dns_rule"]) == (False, True)
    assert run("match", "-q", "*.io", "a.io", "b.io").exit_code == 0
    assert run("match", "-q", "*.io", "a.io", "b.org").exit_code == 1
    assert run("match", "--exact", "a.io", "A.io.", "-q").exit_code == 0
    assert run("match", "--exact", "*.io", "a.io").exit_code == 2
    assert run("match", "a b", "a.io").exit_code == 2
    assert run("match", "a.io").exit_code == 2
    assert "inert" in run("match", "a" * 255, "a.io").stderr


# --- simulate ------------------------------------------------------------------------------------------------------


def test_simulate_prints_answers_and_lists_differences(folder: Path) -> None:
    result = run("simulate", "web.test.yaml")
    assert result.exit_code == 0
    assert "the name" in result.stdout
    assert "spec.egress[1]" in result.stdout
    (folder / "web.test.yaml").write_text(
        SCENARIO.replace("expect: allow", "expect: refused"), encoding="utf-8"
    )
    result = run("simulate", "web.test.yaml", "-o", "json")
    assert result.exit_code == 1
    assert "web.test.yaml:5: tests[0]: expected refused, got allow" in result.stderr
    assert json.loads(result.stdout)["queries"][0]["verdict"] == "allow"
    (folder / "web.test.yaml").write_text(SCENARIO.replace("from: web", "from: wbe"), encoding="utf-8")
    result = run("simulate", "web.test.yaml")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "web.test.yaml:5: tests[0].from: `wbe` is no endpoint" in result.stderr
    assert "endpoints are `default/web`; did you mean `web`?" in result.stderr


def test_an_answer_for_programs_says_to_what_and_what_differs(folder: Path) -> None:
    text = SCENARIO.replace("expect: allow", "expect: deny")
    (folder / "web.test.yaml").write_text(f"name: first\n{text}---\n{SCENARIO}", encoding="utf-8")
    first, second = json.loads(run("simulate", "-o", "json", "web.test.yaml").stdout)
    assert [(row["file"], row["line"], row["name"]) for row in (first, second)] == [
        ("web.test.yaml", 1, "first"),
        ("web.test.yaml", 9, None),
    ]
    wanted = ["query", "name", "path", "line", "differences"]
    assert [first["queries"][0][key] for key in wanted] == [
        "default/web → kubernetes.io:443/TCP",
        "the name",
        "tests[0]",
        6,
        ["expected deny, got allow"],
    ]
    assert [query["differences"] for query in second["queries"]] == [[], []]


def test_policies_that_were_expected_to_be_accepted() -> None:
    row = {"policies": [json.loads(run("validate", "-o", "json", "-", text=GOOD).stdout)["policies"][0]]}
    row["policy_results"] = [{"name": None, "accepted": True}]
    result = run("simulate", "--batch", "-", text=json.dumps(row))
    assert result.exit_code == 1
    assert "expected accepted True, got False" in result.stderr


# --- test ----------------------------------------------------------------------------------------------------------


def test_a_passing_file(folder: Path) -> None:
    for target in ("web.test.yaml", "."):
        result = run("test", target)
        assert result.exit_code == 0
        assert "web.test.yaml .." in result.stdout
        assert "2 passed" in result.stdout


def test_a_failure_says_what_decided_and_where_it_is_written(folder: Path) -> None:
    (folder / "web.test.yaml").write_text(SCENARIO.replace("expect: allow", "expect: deny"), encoding="utf-8")
    result = run("test", "web.test.yaml", "--junit", "out/report.xml")
    assert result.exit_code == 1
    assert "web.test.yaml F." in result.stdout
    assert "web.test.yaml:5: default/web → kubernetes.io:443/TCP" in result.stdout
    assert "expected deny, got allow" in result.stdout
    assert "egress by CiliumNetworkPolicy default/good spec.egress[1]  (policy.yaml:8)" in result.stdout
    assert "1 failed, 1 passed" in result.stdout
    suite = ElementTree.parse(folder / "out" / "report.xml").getroot()[0]
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("2", "1", "0")
    failure = suite[0][0]
    assert failure.get("message") == "expected deny, got allow"


def test_choosing_by_name(folder: Path) -> None:
    result = run("test", "web.test.yaml", "-k", "another and not nothing")
    assert "1 passed, 1 deselected" in result.stdout
    result = run("test", "web.test.yaml", "-k", "nothing")
    assert result.exit_code == 2
    assert selector("a and not b or c")("xA")
    assert not selector("a and not b or c")("ab")
    assert selector("a and not b or c")("abc")


@pytest.mark.parametrize(
    "expression",
    ["ok and (", "not", "ok && icmp", "ok || icmp", "and", "ok and", "or ok", "ok and or x", "not not"],
)
def test_what_is_no_expression_is_said(folder: Path, expression: str) -> None:
    result = run("test", "web.test.yaml", "-k", expression)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "Invalid value for '-k': " in result.stderr


def test_words_of_a_name_may_stand_together() -> None:
    assert selector("the name and not another")("the name")
    assert selector("but not in the clear")("But not in the clear")
    assert not selector("not the name")("the name")
    assert selector("not not name")("the name")


def test_what_could_not_fail_is_an_error(folder: Path) -> None:
    for broken, words in (
        (SCENARIO.replace(", expect: allow", ""), "a test needs `expect`"),
        (SCENARIO.replace("expect: allow", "expct: allow"), "tests[0].expct: unknown field"),
        (SCENARIO.replace("expect: allow", "expect: yes"), "tests[0].expect: `bool` is no expectation"),
        (SCENARIO.replace("expect: allow", "expect: alow"), "did you mean `allow`?"),
        (SCENARIO.replace("tests:", "lookup: []\ntests:"), "did you mean `lookups`?"),
        (SCENARIO.replace("policy.yaml", "policies.yaml"), "policyFiles[0]: `policies.yaml` does not exist"),
        (SCENARIO.replace("policy.yaml", "web.test.yaml"), "policyFiles[0]: `web.test.yaml` has no policy"),
        ("endpoints: []\n", "there is no test in it"),
        ("a: [\n", "did not find expected node content"),
        ("- 1\n", "a scenario must be a mapping"),
    ):
        (folder / "web.test.yaml").write_text(broken, encoding="utf-8")
        result = run("test", "web.test.yaml")
        assert result.exit_code == 2, words
        assert words in result.stdout
        assert "error" in result.stdout.splitlines()[-1]
        report = run("test", "web.test.yaml", "--junit", "report.xml", "-o", "json")
        assert json.loads(report.stdout)["summary"]["errors"] == 1
        assert ElementTree.parse(folder / "report.xml").getroot()[0].get("errors") == "1"


def test_a_policy_that_is_not_accepted_is_an_error_with_its_own_line(folder: Path) -> None:
    (folder / "policy.yaml").write_text(BAD, encoding="utf-8")
    result = run("test", "web.test.yaml")
    assert result.exit_code == 2
    assert "policy.yaml:11: spec.ingres: unknown field" in result.stdout
    assert result.stdout.startswith("web.test.yaml E\n"), "nothing is judged by half of the policies"
    assert result.stdout.splitlines()[-1].strip("= ").startswith("3 errors in ")
    report = json.loads(run("test", "-o", "json", "web.test.yaml").stdout)
    assert (report["tests"], report["summary"]["errors"]) == ([], 3)
    (folder / "other.test.yaml").write_text("tests: [{from: host, to: 'host:1', expect: allow}]\n")
    result = run("test", ".")
    assert (result.exit_code, "1 passed, 3 errors" in result.stdout) == (2, True)
    (folder / "other.test.yaml").unlink()
    (folder / "policy.yaml").write_text(HTTP, encoding="utf-8")
    result = run("test", "web.test.yaml")
    assert "policy.yaml:9: spec.ingress[0].toPorts[0].rules.http" in result.stdout
    assert "1 passed, 1 warning in " in result.stdout


def test_names_cannot_steer_a_terminal(folder: Path) -> None:
    evil = SCENARIO.replace("name: the name", 'name: "\\e[31m\\u202e\\ud800"').replace("allow", "deny")
    (folder / "web.test.yaml").write_text(evil, encoding="utf-8")
    result = run("test", "web.test.yaml", "--junit", "report.xml")
    assert "\x1b" not in result.stdout
    row: Any = {
        "tests": [{"name": "\x1b\ud800", "from": "\ud800", "to": "x:1"}],
        "endpoints": [{"name": "\x00\x1b"}],
    }
    (folder / "web.test.yaml").write_text(json.dumps(row), encoding="utf-8")
    for verb in ("test", "simulate"):
        result = run(verb, "web.test.yaml")
        assert result.exit_code == 2
        assert "\x1b" not in result.output
    assert ElementTree.parse(folder / "report.xml") is not None


def test_a_test_file_without_tests_is_told_what_is_missing(folder: Path) -> None:
    for target in ("policy.yaml", "empty.yaml"):
        (folder / "empty.yaml").write_text("", encoding="utf-8")
        result = run("test", target)
        assert result.exit_code == 2
    assert result.stderr == (
        "namewall: no test found; a test file has `tests`, each with `from`, `to` and `expect`\n"
    )


def test_explain_says_who_may_be_meant(folder: Path) -> None:
    result = run("explain", "web.test.yaml", "--from", "wbe", "--to", "a.io:1")
    assert (result.exit_code, "did you mean `web`?" in result.stderr) == (2, True)
    result = run("explain", "web.test.yaml", "--from", "web", "--to", "a.io:1/TPC")
    assert (result.exit_code, "did you mean `TCP`?" in result.stderr) == (2, True)


@pytest.mark.parametrize("path", ["policy.yaml/report.xml", ".", "a\0b"])
def test_a_report_that_cannot_be_written_is_said(folder: Path, path: str) -> None:
    result = run("test", "web.test.yaml", "--junit", path)
    assert result.exit_code == 2
    assert f"cannot write {path}".replace("\0", "\\x00") in result.stderr


def test_a_batch_s_rows_may_have_nulls_and_fields_that_nobody_knows() -> None:
    row = {
        "id": "x",
        "note": "made by another program",
        "features": None,
        "policies": [],
        "externals": None,
        "endpoints": [{"name": "web", "namespace": "a", "labels": None, "identity": 7}],
        "queries": [
            {"id": 1, "from": "web", "to": "203.0.113.1", "port": 80, "protocol": "TCP", "dns": None}
        ],
    }
    result = run("simulate", "--batch", "-", text=json.dumps(row) + "\n")
    assert result.exit_code == 0
    (answer,) = map(json.loads, result.stdout.splitlines())
    assert answer["queries"][0]["verdict"] == "allow"
    for word in ("note", "identity", "queries[0].id"):
        assert f"{word}: unknown field" in result.stderr


@pytest.mark.parametrize(
    ("version", "kind", "other"),
    [
        ("networking.k8s.io/v1", "Ingress", True),
        ("kustomize.toolkit.fluxcd.io/v1", "Kustomization", True),
        ("cilium.io/v2", "CiliumLocalRedirectPolicy", True),
        ("policy.networking.k8s.io/v1alpha1", "AdminNetworkPolicy", True),
        ("crd.projectcalico.org/v1", "NetworkPolicy", True),
        ("projectcalico.org/v3", "GlobalNetworkPolicy", True),
        ("cilium.io/v2", "CiliumNetPolicy", False),
        ("networking.k8s.io/v1", "NetPol", False),
        ("network.k8s.io/v1", "NetworkPolicy", False),
        ("", "Pod", True),
    ],
)
def test_objects_of_others_beside_policies_are_left_out(version: str, kind: str, other: bool) -> None:
    """But nothing that may be meant for one of ours."""
    assert is_other({"apiVersion": version, "kind": kind, "metadata": {"name": "x"}}) is other
