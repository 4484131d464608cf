"""`explain`, `lint` and `diff` as they are called: output, lines, exit codes. (tests/docs runs docs/explain.md.)"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result
from jsonschema import Draft202012Validator

from namewall.cli.main import main

ROOT = Path(__file__).parents[3]
LAB = "tests/cases/lab.yaml"
DNS = {
    "toEndpoints": [
        {"matchLabels": {"k8s:io.kubernetes.pod.namespace": "kube-system", "k8s-app": "kube-dns"}}
    ],
    "toPorts": [{"ports": [{"port": "53", "protocol": "ANY"}], "rules": {"dns": [{"matchPattern": "*"}]}}],
}


@pytest.fixture(autouse=True)
def _at_the_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


def run(*args: str, stdin: str | None = None) -> Result:
    return CliRunner().invoke(main, list(args), input=stdin)


def policy(name: str, egress: list[Any], **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "cilium.io/v2",
        "kind": "CiliumNetworkPolicy",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"endpointSelector": {"matchLabels": {"app": "web"}}, "egress": egress, **spec},
    }


def write(path: Path, *objects: Any) -> str:
    path.write_text(yaml.safe_dump_all(objects, sort_keys=False), encoding="utf-8")
    return str(path)


# --- explain -------------------------------------------------------------------------------------------------------


def test_a_denial_names_file_line_field_and_a_patch() -> None:
    result = run("explain", LAB, "--from", "pod/backend", "-n", "default", "--to", "cilium.io:443")
    assert result.exit_code == 1
    lines = (ROOT / LAB).read_text(encoding="utf-8").splitlines()
    line = next(n for n, text in enumerate(lines, 1) if "toFQDNs" in text)
    assert (
        f"nearest rule: cnp default/backend-egress-allow-fqdn spec.egress[1] ({LAB}:{line})" in result.stdout
    )
    for words in ("want   kubernetes.io", "got    cilium.io", "+    - matchName: cilium.io"):
        assert words in result.stdout


def test_an_allowed_flow_exits_0_with_the_deciding_rule() -> None:
    result = run("explain", LAB, "--from", "default/backend", "--to", "kubernetes.io:443")
    assert result.exit_code == 0
    assert "decided by cnp default/backend-egress-allow-fqdn spec.egress[1]" in result.stdout


def test_json_is_the_row_of_simulate_and_fits_its_schema() -> None:
    schema = Draft202012Validator(json.loads(Path("docs/schemas/explain.json").read_text(encoding="utf-8")))
    explained = json.loads(run("explain", LAB, "-o", "json").stdout)
    simulated = json.loads(run("simulate", LAB, "-o", "json").stdout)["queries"]
    assert len(explained) == len(simulated) > 8
    for one, row in zip(explained, simulated, strict=True):
        schema.validate(one)
        rules = [
            {key: rule[key] for key in wanted}
            for rule, wanted in zip(one["rules"], row["rules"], strict=True)
        ]
        answer = {
            key: value for key, value in row.items() if key not in ("name", "path", "line", "differences")
        }
        assert {**{key: one[key] for key in answer}, "rules": rules} == answer
        assert all(rule["file"] == LAB and rule["line"] for rule in one["rules"])
    whole = explained[1]
    assert whole["patch"] is None or whole["patch"]["changes"]


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--from", "pod/nobody", "--to", "kubernetes.io:443"], "--from: `pod/nobody` is no endpoint"),
        (["--from", "backend", "--to", "kubernetes.io"], "--to: `kubernetes.io` needs a port"),
        (["--from", "backend", "--to", "2001:db8::1"], "needs a port, as `[2001:db8::1]:443`"),
        (
            ["--from", "backend", "--dns", "*.kubernetes.io"],
            "--dns: `*.kubernetes.io` is a pattern and no name",
        ),
        (["--from", "backend", "--to", "kubernetes.io:99999"], "ports end at 65535"),
        (["--from", "backend", "--to", "kubernetes.io:443/quic"], "`quic` is no protocol"),
        (["--from", "kubernetes.io", "--to", "backend:80"], "cannot begin a flow"),
        (["--from", "backend"], "both --from and --to"),
    ],
)
def test_wrong_words_exit_2(args: list[str], words: str) -> None:
    result = run("explain", LAB, *args)
    assert result.exit_code == 2
    assert words in result.stderr
    assert "Traceback" not in result.output


def test_ways_to_write_the_ends() -> None:
    for source in ("backend", "default/backend", "pod/backend"):
        for target in ("198.51.100.10:443", "kubernetes.io:443/tcp", "[2001:db8::10]:443"):
            assert run("explain", LAB, "--from", source, "--to", target).exit_code == 0, (source, target)
    assert run("explain", LAB, "--from", "backend", "--dns", "cilium.io").exit_code == 0
    assert run("explain", LAB, "--from", "dns", "--to", "backend/icmp").exit_code == 1
    assert run("explain", LAB, "--from", "host", "--to", "backend:1").exit_code == 0
    assert run("explain", "--scenario", LAB, "--from", "host", "--to", "backend:1").exit_code == 0
    text = (ROOT / LAB).read_text(encoding="utf-8")
    assert run("explain", "-", "--from", "host", "--to", "backend:1", stdin=text).exit_code == 0
    assert run("explain", LAB, "--scenario", LAB).exit_code == 2


def test_without_a_server_it_cannot(tmp_path: Path) -> None:
    environment = {**os.environ, "NAMEWALL_ROOT": str(tmp_path), "KUBECONFIG": "", "PYTHONPATH": "src"}
    result = subprocess.run(
        [sys.executable, "-m", "namewall", "explain", "--from", "pod/x", "--to", "kubernetes.io:443"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (result.returncode, result.stdout) == (3, "")
    assert "start one with `namewall up`" in result.stderr


# --- lint ----------------------------------------------------------------------------------------------------------


def test_findings_have_file_line_and_exit_1(tmp_path: Path) -> None:
    path = write(
        tmp_path / "p.yaml", policy("a", [DNS]), policy("b", [{"toFQDNs": [{"matchPattern": "*.com"}]}])
    )
    result = run("lint", path)
    lines = Path(path).read_text(encoding="utf-8").splitlines()
    line = next(n for n, text in enumerate(lines, 1) if "*.com" in text)
    assert result.exit_code == 1
    assert f"{path}:{line}: warning: spec.egress[0].toFQDNs[0].matchPattern: " in result.stdout
    assert "[public-suffix]" in result.stdout
    rows = json.loads(run("lint", path, "-o", "json").stdout)
    assert {"rule": "public-suffix", "line": line, "policy": "b", "severity": "warning"}.items() <= next(
        row.items() for row in rows if row["rule"] == "public-suffix"
    )
    assert run("lint", path, "--ignore", "public-suffix", "--ignore", "one-level").exit_code == 0


def test_a_folder_holds_together_and_the_page_is_clean(tmp_path: Path) -> None:
    write(tmp_path / "a.yaml", policy("names", [{"toFQDNs": [{"matchName": "kubernetes.io"}]}]))
    assert "fqdn-without-dns" in run("lint", str(tmp_path)).stdout
    write(tmp_path / "b.yaml", policy("dns", [DNS]))
    assert run("lint", str(tmp_path)).exit_code == 0
    assert run("lint", "lab/manifests").exit_code == 0


def test_invalid_policies_exit_2_and_the_others_are_looked_at(tmp_path: Path) -> None:
    wrong = policy("wrong", [{"toFQDNs": [{"matchName": "a b"}]}])
    path = write(tmp_path / "p.yaml", wrong, policy("b", [{"toFQDNs": [{"matchPattern": "*.com"}]}]))
    result = run("lint", path)
    assert result.exit_code == 2
    assert "spec.egress[0].toFQDNs[0].matchName" in result.stderr
    assert "[public-suffix]" in result.stdout
    assert run("lint", "-", stdin="{kind: [").exit_code == 2


def test_the_problems_of_invalid_policies_are_in_the_json_and_policies_are_counted(tmp_path: Path) -> None:
    wrong = policy("wrong", [{"toFQDNs": [{"matchName": "a b"}, {"matchName": "c d"}]}])
    path = write(tmp_path / "p.yaml", wrong, policy("b", [{"toFQDNs": [{"matchPattern": "*.com"}]}]))
    unread = tmp_path / "q.yaml"
    unread.write_text("{kind: [", encoding="utf-8")
    result = run("lint", path, str(unread), "-o", "json")
    assert result.exit_code == 2
    assert "2 invalid" in result.stderr, "one policy, one text"
    rows = json.loads(result.stdout)
    assert len({tuple(row) for row in rows}) == 1, "of one shape"
    broken = [row for row in rows if row["rule"] == "invalid"]
    assert {(row["file"], row["policy"], row["severity"]) for row in broken} == {
        (path, "wrong", "error"),
        (str(unread), None, "error"),
    }
    assert "spec.egress[0].toFQDNs[1].matchName" in {row["path"] for row in broken}
    assert "public-suffix" in {row["rule"] for row in rows}


def test_a_scenario_says_who_can_be_selected(tmp_path: Path) -> None:
    path = write(
        tmp_path / "p.yaml", policy("typo", [DNS, {"toEndpoints": [{"matchLabels": {"app": "dbb"}}]}])
    )
    pods = [{"name": "web", "labels": {"app": "web"}}, {"name": "db", "labels": {"app": "db"}}]
    world = write(tmp_path / "world.yaml", {"endpoints": pods, "policies": []})
    assert run("lint", path).exit_code == 0
    result = run("lint", path, "--scenario", world)
    assert result.exit_code == 1
    assert "toEndpoints[0]: it selects no endpoint of the scenario" in result.stdout


# --- diff ----------------------------------------------------------------------------------------------------------


def test_no_change_exits_0_whatever_the_order(tmp_path: Path) -> None:
    one, two = policy("a", [DNS]), policy("b", [{"toFQDNs": [{"matchName": "kubernetes.io"}]}])
    result = run("diff", write(tmp_path / "1.yaml", one, two), write(tmp_path / "2.yaml", two, one))
    assert (result.exit_code, result.stdout) == (0, "")


def test_a_changed_name_and_port_are_told(tmp_path: Path) -> None:
    ports = [{"ports": [{"port": "443", "protocol": "TCP"}]}]
    old = policy("a", [DNS, {"toFQDNs": [{"matchName": "kubernetes.io"}], "toPorts": ports}])
    new = policy("a", [DNS, {"toFQDNs": [{"matchName": "cilium.io"}], "toPorts": ports}])
    files = write(tmp_path / "1.yaml", old), write(tmp_path / "2.yaml", new)
    result = run("diff", *files)
    assert result.exit_code == 1
    assert (
        "default/app=web → cilium.io\n  443/TCP: deny → allow\n  by cnp default/a spec.egress[1]"
        in result.stdout
    )
    assert "default/app=web → kubernetes.io\n  443/TCP: allow → deny" in result.stdout
    groups = json.loads(run("diff", *files, "-o", "json").stdout)
    assert groups["changed"] is True
    assert groups["pairs"] == 2
    back = json.loads(run("diff", files[1], files[0], "-o", "json").stdout)
    assert [(g["to"], g["changes"][0]["new"]) for g in back["groups"]] == [
        (["cilium.io"], "deny"),
        (["kubernetes.io"], "allow"),
    ]


def test_a_question_that_is_refused_now(tmp_path: Path) -> None:
    narrow = {
        **DNS,
        "toPorts": [{**DNS["toPorts"][0], "rules": {"dns": [{"matchPattern": "*.example.com"}]}}],
    }
    files = write(tmp_path / "1.yaml", policy("a", [DNS])), write(tmp_path / "2.yaml", policy("a", [narrow]))
    result = run("diff", *files)
    assert result.exit_code == 1
    assert "question unnamed.invalid over 53/ANY: allow → deny" in result.stdout
    assert "question x.example.com" not in result.stdout


def test_a_scenario_s_endpoints_are_the_known_ones(tmp_path: Path) -> None:
    old = write(tmp_path / "1.yaml", policy("a", [{"toEndpoints": [{}]}]))
    new = write(tmp_path / "2.yaml", policy("a", [{"toEndpoints": [{"matchLabels": {"tier": "back"}}]}]))
    pods = [
        {"name": "web", "labels": {"app": "web"}},
        {"name": "db", "labels": {"app": "db", "tier": "back"}},
        {"name": "log", "labels": {"app": "log"}},
    ]
    world = write(tmp_path / "w.yaml", {"endpoints": pods, "policies": [], "queries": []})
    result = run("diff", old, new, "--scenario", world)
    assert result.exit_code == 1
    assert result.stdout == (
        "default/web → default/log\n  every protocol: allow → deny\n  was by cnp default/a spec.egress[0]\n"
    )
    assert run("diff", LAB, LAB).exit_code == 0


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ([{"port": "80"}], [{"port": "http"}], ["80/TCP: allow → deny", "http/TCP: deny → allow"]),
        ([{"port": "http"}], [{"port": "http"}, {"port": "metrics"}], ["metrics/TCP: deny → allow"]),
        ([{"port": "0"}], [{"port": "http"}], ["every port/TCP but http: allow → deny"]),
        (
            [{"port": "0"}],
            [{"port": "http"}, {"port": "80"}],
            ["0-79/TCP, 81-65535/TCP but http: allow → deny"],
        ),
        (
            [{"port": "1", "endPort": 65535}],
            [{"port": "1", "endPort": 65535}, {"port": "http"}],
            [],
        ),
        (
            [{"port": "1024", "endPort": 65535}],
            [{"port": "http"}],
            ["http/TCP: deny → allow", "1024-65535/TCP: allow → deny"],
        ),
    ],
)
def test_a_port_name_is_no_number_where_no_pod_is_known(
    tmp_path: Path, old: list[dict[str, Any]], new: list[dict[str, Any]], line: list[str]
) -> None:
    written = [
        write(
            tmp_path / f"{number}.yaml",
            policy(
                "a",
                [{"toEntities": ["host"], "toPorts": [{"ports": [{**p, "protocol": "TCP"} for p in ports]}]}],
            ),
        )
        for number, ports in enumerate((old, new))
    ]
    result = run("diff", *written)
    assert [
        text.strip() for text in result.stdout.splitlines() if text.startswith("  ") and ": " in text
    ] == line
    assert result.exit_code == bool(line)


def test_a_port_name_is_the_pods_number_where_they_are_known(tmp_path: Path) -> None:
    def ports(port: str) -> dict[str, Any]:
        return policy(
            "a", [{"toEndpoints": [{}], "toPorts": [{"ports": [{"port": port, "protocol": "TCP"}]}]}]
        )

    web = {
        "name": "web",
        "labels": {"app": "web"},
        "namedPorts": [{"name": "http", "protocol": "TCP", "port": 8080}],
    }
    world = write(tmp_path / "w.yaml", {"endpoints": [web, {"name": "b"}], "policies": [], "queries": []})
    old, new = write(tmp_path / "1.yaml", ports("8080")), write(tmp_path / "2.yaml", ports("http"))
    assert run("diff", old, new, "--scenario", world).exit_code == 0
    assert run("diff", old, new).exit_code == 1


def test_invalid_input_exits_2(tmp_path: Path) -> None:
    wrong = write(tmp_path / "p.yaml", policy("wrong", [{"toFQDNs": [{"matchName": "a b"}]}]))
    assert run("diff", wrong, LAB).exit_code == 2
    assert run("diff", "-", "-").exit_code == 2
    missing = run("diff", str(tmp_path / "none.yaml"), wrong)
    assert missing.exit_code == 2
    assert "none.yaml: cannot be read" in missing.stderr
    assert "p.yaml" in missing.stderr, "the other one is judged too"
    assert "p.yaml" in run("lint", str(tmp_path / "none.yaml"), wrong).stderr
