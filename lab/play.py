"""`make lab`: plays the page against real processes with the real kubectl, and says where the two differ.

Each line of the page is typed by bash as it stands, in a pseudo-terminal (or without one where the step says
so), printed with its real output, and judged by page.py. Exit code 0: as the page says; 1: it is not, and
this says what was; 3: it cannot be played here. Whatever happens, nothing of the lab is left behind.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from types import FrameType

import pexpect

from lab import cluster, kubectl, netns, page
from lab.cluster import CannotStart, Lab
from lab.names import BOTH, World, page_world, random_world
from lab.page import Outcome, Step
from lab.scene import FILES, PAGE, Scene, manifest, random_scene

_MANIFESTS = Path(__file__).resolve().parent / "manifests"
_PATIENCE = 90  # seconds that any one line may take


class Reader:
    """Types lines as a reader would, one shell each; remembers the variables the page has its reader set."""

    def __init__(self, lab: Lab, program: Path) -> None:
        self.directory = lab.scratch
        self.directory.mkdir(exist_ok=True)
        programs = lab.root / "bin"
        programs.mkdir(exist_ok=True)
        for name, target in (("kubectl", program), ("namewall", kubectl.NAMEWALL)):
            (programs / name).unlink(missing_ok=True)
            (programs / name).symlink_to(target)
        own = lab.environment
        # wide enough that nothing wraps; plain, as the page is
        self.variables = {**own, "PATH": f"{programs}:{own['PATH']}", "COLUMNS": "250", "TERM": "dumb"}

    def write(self, scene: Scene) -> None:
        """The page's files, and the scene's namespace as the current one."""
        for file in FILES.values():
            (self.directory / file).write_text(manifest(scene, (_MANIFESTS / file).read_text()))
        if scene.namespace != PAGE.namespace:
            mine = self.directory / "kubeconfig"
            shutil.copy(self.variables["KUBECONFIG"], mine)
            self.variables["KUBECONFIG"] = str(mine)
            for line in (
                f"kubectl create namespace {scene.namespace}",
                f"kubectl config set-context --current --namespace={scene.namespace}",
            ):
                outcome = self.type(line, terminal=False)
                if outcome.code != 0:
                    raise RuntimeError(f"`{line}` failed: {outcome.errors.strip()}")

    def type(self, line: str, *, terminal: bool = True) -> Outcome:
        script = f"{line}\nexit ${{PIPESTATUS[0]}}"
        began = time.monotonic()
        if terminal:
            output, code = self._in_terminal(script)
            return Outcome(output, code, time.monotonic() - began)
        done = subprocess.run(
            ["bash", "-c", script],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            cwd=self.directory,
            env=self.variables,
            timeout=_PATIENCE,
        )
        return Outcome(done.stdout, done.returncode, time.monotonic() - began, done.stderr)

    def take(self, step: Step) -> tuple[Outcome, str | None]:
        """What a step's line did, and how that differs from the page."""
        try:
            outcome = self.type(step.line, terminal=step.terminal)
        except (subprocess.TimeoutExpired, pexpect.TIMEOUT):
            return Outcome("", -1, _PATIENCE), f"it did not end within {_PATIENCE} s"
        if step.stores:
            self.variables[step.stores] = outcome.output.strip()
        return outcome, step.expect(outcome)

    def _in_terminal(self, script: str) -> tuple[str, int]:
        child = pexpect.spawn(
            "bash",
            ["-c", script],
            cwd=str(self.directory),
            env=self.variables,
            dimensions=(50, 250),
            encoding="utf-8",
            codec_errors="replace",
            timeout=_PATIENCE,
        )
        try:
            child.expect(pexpect.EOF)
            output = str(child.before).replace("\r\n", "\n")
        finally:
            child.close()
        return output, child.exitstatus if child.exitstatus is not None else 128 + (child.signalstatus or 0)


def play(reader: Reader, steps: Iterable[Step], show: Callable[[str], None]) -> tuple[int, list[str]]:
    """The number of steps and the differences. Stops where the rest would make no sense."""
    differences, number = [], 0
    for number, step in enumerate(steps, 1):
        show(f"\n# {number}. {step.about}")
        for line in step.line.splitlines():
            show(f"$ {line}")
        outcome, difference = reader.take(step)
        for line in (outcome.output + outcome.errors).strip().splitlines():
            show(line.rstrip())
        verdict = "as the page says" if difference is None else f"DIFFERS: {difference}"
        show(f"  -> {verdict} ({outcome.seconds:.2f} s)")
        if difference is not None:
            differences.append(f"step {number}, {step.about}: `{step.line.splitlines()[0]}`: {difference}")
            if step.stores or "rollout" in step.line:
                break
    return number, differences


def shell(lab: Lab, scene: Scene, show: Callable[[str], None]) -> int:
    """Leave the reader where the page begins. Returns the shell's exit code; 0 for an interactive one."""
    program, sentence = kubectl.for_reader(os.environ.get("PATH", ""))
    reader = Reader(lab, program)
    reader.write(scene)
    for step in page.prepare(scene):
        outcome, difference = reader.take(step)
        if difference:
            show(f"{outcome.output}{outcome.errors}".strip())
            raise RuntimeError(f"`{step.line}`: {difference}")
    show(sentence)
    show(f"KUBECONFIG={reader.variables['KUBECONFIG']}")
    show(f"the page's files are here in {reader.directory}; `exit` takes everything down")
    interactive = sys.stdin.isatty()
    own = {name: os.environ[name] for name in ("TERM", "COLUMNS") if name in os.environ}
    variables = {
        name: value for name, value in reader.variables.items() if name not in ("TERM", "COLUMNS")
    } | own
    command = ["bash"]
    if interactive:
        rc = lab.root / "bashrc"
        rc.write_text(f"[ -f ~/.bashrc ] && . ~/.bashrc\nPATH={reader.variables['PATH']}\nPS1='lab$ '\n")
        command += ["--rcfile", str(rc), "-i"]
    # Ctrl-C belongs to what the reader runs, not to us
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        done = subprocess.run(
            command, cwd=reader.directory, env=variables, check=False, preexec_fn=_take_signals
        )
    finally:
        signal.signal(signal.SIGINT, before)
    return 0 if interactive else done.returncode


def main() -> int:
    options = _options()
    if os.geteuid() != 0:
        return _cannot(
            "needs root, since it makes network namespaces and loads BPF programs; run `sudo make lab`"
        )
    if not kubectl.NAMEWALL.exists():
        return _cannot(f"{kubectl.NAMEWALL} is missing; run scripts/setup first")
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupted)
    try:
        for root in cluster.sweep():
            _show(f"lab: cleared up after an earlier lab in {root}")
        world, scene = _drawn(options)
        with cluster.lab(world, families=_families(options)) as lab:
            return shell(lab, scene, _show) if options.shell else _play(lab, scene)
    except (CannotStart, RuntimeError) as error:
        return _cannot(str(error).removeprefix("namewall: "))
    except KeyboardInterrupt:
        print("lab: interrupted", file=sys.stderr)
        return 130


def _play(lab: Lab, scene: Scene) -> int:
    program = _player()
    if isinstance(program, str):
        return _cannot(program)
    _show(f"lab: {program.name}, KUBECONFIG={lab.kubeconfig}")
    reader = Reader(lab, program.path)
    reader.write(scene)
    number, differences = play(reader, page.steps(scene), _show)
    _show("")
    for difference in differences:
        _show(f"lab: {difference}")
    if differences:
        print(lab.logs(), file=sys.stderr)
    _show(f"lab: {number} steps, {number - len(differences)} as the page says")
    return 1 if differences else 0


def _player() -> kubectl.Kubectl | str:
    """The kubectl to play with: the fetched one, whose version is known; else the reader's own, if it will
    do."""
    mine = kubectl.own(os.environ.get("PATH", ""))
    for candidate in (kubectl.fetched(), mine):
        if candidate and not candidate.too_old:
            return candidate
    return (mine and mine.too_old) or f"no kubectl: {kubectl.FETCHED} is missing; scripts/setup fetches it"


def _drawn(options: argparse.Namespace) -> tuple[World | None, Scene]:
    if options.internet:
        return None, PAGE
    slot, families = netns.free_slot(), _families(options)
    if options.seed is None:
        return page_world(slot, families), PAGE
    world = random_world(options.seed, slot, families)
    return world, random_scene(options.seed, world)


def _families(options: argparse.Namespace) -> tuple[int, ...]:
    return (options.family,) if options.family else BOTH


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make lab ARGS=...", description="Plays the page.")
    parser.add_argument("--shell", action="store_true", help="leave me in a shell, to type the page by hand")
    parser.add_argument(
        "--internet", action="store_true", help="the host's uplink instead of the lab's world"
    )
    parser.add_argument("--seed", type=int, help="names, addresses, ports, labels drawn from this number")
    parser.add_argument("--family", type=int, choices=BOTH, help="only this IP version")
    return parser.parse_args()


def _interrupted(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _take_signals() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _show(line: str) -> None:
    print(line, flush=True)


def _cannot(sentence: str) -> int:
    print(f"lab: {sentence}", file=sys.stderr)
    return 3


if __name__ == "__main__":
    sys.exit(main())
