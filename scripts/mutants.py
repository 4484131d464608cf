"""One-line mutants of what decides: each must be killed by a test, or have a written reason to live.

    make mutants                          all of them
    make mutants ARGS="--sample 100"      a hundred of them, evenly spread
    make mutants ARGS="policy/decide.py"  those of one file

A mutant is one small change of the syntax tree: a comparison turned, `and` for `or`, a condition negated or left out,
a constant moved by one, a statement skipped, None returned. Each runs in a forked copy of one process that has the
test tools loaded, a copy a core, against the quick tests of FIRST and THEN, fixed seeds, first failure ends it. Those
that live and why are in spec/mutants-alive.yaml, found by file, function and change, not by line, so that the list
survives edits.

Exit code 1 if one lives without a reason, or if a reason is for a mutant that does not live or is no more.
Why not a library: mutmut, by its own pages, numbers mutants instead of naming them and leaves code outside functions
alone; forking one loaded process costs 0.3 s a mutant here. cosmic-ray and mutatest were not tried.
"""

from __future__ import annotations

import argparse
import ast
import copy
import importlib.abc
import importlib.util
import os
import resource
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
ALIVE = ROOT / "spec" / "mutants-alive.yaml"
POLICY = (
    "beyond cilium classes compile decide expand identity_index lookup netpol patterns ports resolver rules"
    " selector_index selectors terms"
)
TARGETS = {
    **{f"policy/{name}.py": f"namewall.policy.{name}" for name in POLICY.split()},
    "spec/oracle.py": "spec.oracle",
    "spec/reading.py": "spec.reading",
}
FIRST = ("tests/cases",)
"""Quick, and most mutants end here."""
THEN = (
    "tests/unit/policy/test_audit.py",
    "tests/unit/policy/test_beyond.py",
    "tests/unit/policy/test_compile.py",
    "tests/unit/policy/test_decide.py",
    "tests/unit/policy/test_indexes.py",
    "tests/unit/policy/test_lint.py",
    "tests/unit/policy/test_metadata.py",
    "tests/unit/policy/test_parse.py",
    "tests/unit/policy/test_patterns.py",
    "tests/unit/policy/test_ports.py",
    "tests/unit/policy/test_references.py",
    "tests/unit/policy/test_resolver.py",
    "tests/unit/state/test_desired.py",
    "tests/property/test_meaning.py",
    "tests/property/test_laws.py",
    "tests/property/test_resolver.py",
    "--deselect=tests/unit/policy/test_parse.py::test_mutated_objects_are_read_or_refused_with_paths",
    "--deselect=tests/unit/policy/test_parse.py::test_hostile_strings_take_linear_time",
)
WORLDS = "160"
"""NAMEWALL_EXAMPLES."""
LIMIT = 30
"""Seconds of processor time after which a mutant that does not end counts as killed."""
CORES = os.cpu_count() or 1


def path_of(target: str) -> Path:
    return ROOT / (target if target.startswith("spec/") else f"src/namewall/{target}")


# --- changes -------------------------------------------------------------------------------------------------------

COMPARE: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
}
BINARY: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.BitOr: ast.BitAnd,
    ast.BitAnd: ast.BitOr,
    ast.BitXor: ast.BitOr,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
}


def negated(node: ast.expr) -> ast.expr:
    return ast.UnaryOp(ast.Not(), node)


def changes(node: ast.AST) -> Iterator[ast.AST]:
    """What may stand in the place of one node. Nothing of it is shared with the tree."""
    node = copy.deepcopy(node)
    match node:
        case ast.Compare(left=left, ops=[op], comparators=[right]) if type(op) in COMPARE:
            yield ast.Compare(left, [COMPARE[type(op)]()], [right])
        case ast.BoolOp(op=op, values=values):
            yield ast.BoolOp(ast.Or() if isinstance(op, ast.And) else ast.And(), values)
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            yield operand
        case ast.Constant(value=bool() as value):
            yield ast.Constant(not value)
        case ast.Constant(value=int() as value):
            yield ast.Constant(value + 1)
            yield ast.Constant(value - 1)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in BINARY:
            yield ast.BinOp(left, BINARY[type(op)](), right)
        case ast.IfExp(test=test, body=body, orelse=orelse) if not isinstance(test, ast.Compare | ast.BoolOp):
            yield ast.IfExp(negated(test), body, orelse)
        case ast.If(test=test) if not isinstance(test, ast.Compare | ast.BoolOp | ast.UnaryOp):
            node.test = negated(test)
            yield node
        case ast.comprehension(ifs=[_, *_]):
            node.ifs = []
            yield node
        case ast.Return(value=ast.expr() as value) if not is_false(value):
            yield ast.Return(ast.Constant(None))
        case ast.Expr(value=value) if not isinstance(value, ast.Constant):
            yield ast.Pass()
        case ast.Continue() | ast.Break() | ast.AugAssign() | ast.Delete():
            yield ast.Pass()
        case ast.Assign(targets=[ast.Attribute() | ast.Subscript()]):
            yield ast.Pass()


def is_false(value: ast.expr) -> bool:
    """None, or False, which a condition reads as None; that it might be True is a change of its own."""
    return isinstance(value, ast.Constant) and (value.value is None or value.value is False)


@dataclass(frozen=True)
class Mutant:
    target: str
    function: str
    change: str
    line: int

    @property
    def key(self) -> str:
        return f"{self.target} {self.function}: {self.change}"


Numbered = tuple[int, Mutant]
Place = Callable[[ast.AST], None]


def mutants_of(target: str) -> Iterator[tuple[Mutant, ast.Module]]:
    """With the tree as it then is, which the next one changes. In the order of the file; equal changes of one

    function are numbered.
    """
    tree = ast.parse(path_of(target).read_text(encoding="utf-8"))
    seen: Counter[tuple[str, str]] = Counter()

    def visit(node: ast.AST, names: tuple[str, ...], place: Place) -> Iterator[Mutant]:
        if is_marking(node):
            return
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names = (*names, node.name)
        elif names:
            for new in changes(node):
                text = f"{shown(node)} → {shown(new)}"
                function = ".".join(names)
                seen[function, text] += 1
                if (number := seen[function, text]) > 1:
                    text += f" ({number})"
                place(ast.copy_location(new, node))
                ast.fix_missing_locations(tree)
                yield Mutant(target, function, text, getattr(node, "lineno", 0))
                place(node)
        skipped = (
            SIGNATURE if isinstance(node, ast.FunctionDef) else ("annotation", "decorator_list", "bases")
        )
        for name, value in ast.iter_fields(node):
            if name in skipped:
                continue
            if isinstance(value, ast.AST):
                yield from visit(value, names, partial(setattr, node, name))
            elif isinstance(value, list):
                for index, child in enumerate(value):
                    if isinstance(child, ast.AST):
                        yield from visit(child, names, partial(value.__setitem__, index))

    for mutant in visit(tree, (), lambda _: None):
        yield mutant, tree


SIGNATURE = ("decorator_list", "returns", "args")


def shown(node: ast.AST) -> str:
    if isinstance(node, ast.comprehension):
        return ast.unparse(ast.ListComp(ast.Name("…"), [node]))
    text = " ".join(ast.unparse(ast.fix_missing_locations(copy.deepcopy(node))).split())
    if isinstance(node, ast.If):
        text = text.partition(":")[0] + ":" if len(text) > 100 else text
    return text if len(text) <= 120 else text[:117] + "..."


def is_marking(node: ast.AST) -> bool:
    """The oracle's notes of clauses (`by`, alone or under a condition) and assertions say nothing of the meaning."""
    match node:
        case ast.Expr(value=ast.Call(func=ast.Name(id="by"))) | ast.Assert() | ast.Raise():
            return True
        case ast.If(body=body, orelse=[]):
            return all(map(is_marking, body))
    return False


# --- running -------------------------------------------------------------------------------------------------------


class Changed(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Gives the mutant where its module is imported."""

    def __init__(self, target: str, tree: ast.Module) -> None:
        self.module, self.path = TARGETS[target], str(path_of(target))
        self.code = compile(tree, self.path, "exec")

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        return importlib.util.spec_from_loader(name, self, origin=self.path) if name == self.module else None

    def exec_module(self, module: ModuleType) -> None:
        module.__file__ = self.path
        exec(self.code, module.__dict__)


def prepare(worlds: str) -> None:
    """What every copy needs, loaded once. Nothing of namewall: the copies import it, with the change in it."""
    os.environ.update(NAMEWALL_EXAMPLES=worlds, PYTHONDONTWRITEBYTECODE="")
    os.chdir(ROOT)
    import hypothesis.strategies  # noqa: F401
    import pytest  # noqa: F401
    import yaml
    from hypothesis import Phase, settings

    yaml.SafeLoader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # type: ignore[misc]

    settings.register_profile(
        "mutants", derandomize=True, database=None, phases=[Phase.explicit, Phase.generate]
    )
    settings.load_profile("mutants")


def run_tests(change: Changed | None) -> int:
    """In a copy: pytest's exit code, 0 if nothing noticed."""
    import pytest

    if change is not None:
        sys.meta_path.insert(0, change)
    sys.path[:0] = [str(ROOT), str(ROOT / "src")]
    quiet = ["-x", "-q", "-p", "no:cacheprovider", "-p", "no:terminalreporter", "--assert=plain"]
    return int(pytest.main([*quiet, *FIRST])) or int(pytest.main([*quiet, *THEN]))


def forked(change: Changed | None) -> int:
    """The copy that runs the tests."""
    child = os.fork()
    if child:
        return child
    resource.setrlimit(resource.RLIMIT_CPU, (LIMIT, LIMIT))
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    code = 1
    try:
        code = run_tests(change)
    finally:
        os._exit(code)


def tried(changes: Iterable[tuple[Numbered, Changed]]) -> Iterator[tuple[Numbered, bool]]:
    """Whether the tests pass with the mutant: it lives. In the order in which the copies end."""
    running: dict[int, Numbered] = {}

    def ended() -> tuple[Numbered, bool]:
        child, status = os.wait()
        return running.pop(child), os.waitstatus_to_exitcode(status) == 0

    for mutant, change in changes:
        running[forked(change)] = mutant
        if len(running) == CORES:
            yield ended()
    while running:
        yield ended()


def reasons() -> dict[str, str]:
    import yaml

    if not ALIVE.exists():
        return {}
    listed = yaml.safe_load(ALIVE.read_text(encoding="utf-8")) or []
    return {f"{each['file']} {each['function']}: {each['change']}": each["reason"] for each in listed}


def main() -> int:
    parser = argparse.ArgumentParser(description="one-line mutants of policy and of the oracle")
    parser.add_argument("target", nargs="*", choices=[[], *TARGETS], help="files; all when left out")
    parser.add_argument("--sample", type=int, default=0, help="run so many, evenly spread")
    parser.add_argument("--skip", type=int, default=0, help="begin the sample at this one")
    parser.add_argument("--list", action="store_true", help="only name them")
    parser.add_argument(
        "--again", type=Path, help="only those that an earlier run's output, in this file, had alive"
    )
    parser.add_argument("--alive", action="store_true", help="only those with a written reason")
    parser.add_argument("--minutes", type=float, default=0, help="stop after so long and say how far it came")
    parser.add_argument(
        "--worlds", default=WORLDS, help=f"generated worlds for each mutant, {WORLDS} when left out"
    )
    options = parser.parse_args()
    chosen = options.target or list(TARGETS)
    mutants = [mutant for target in chosen for mutant, _ in mutants_of(target)]
    known = reasons()
    forgotten = {key for key in known if key.split()[0] in chosen} - {mutant.key for mutant in mutants}
    if options.alive:
        mutants = [mutant for mutant in mutants if mutant.key in known]
    if options.again:
        before = options.again.read_text(encoding="utf-8")
        mutants = [mutant for mutant in mutants if f": {mutant.key} (line" in before]
    if options.sample:
        mutants = mutants[options.skip :: max(1, len(mutants) // options.sample)][: options.sample]
    if options.list:
        print(*(f"{mutant.line:5} {mutant.key}" for mutant in mutants), sep="\n")
        return 0
    prepare(options.worlds)
    began = time.monotonic()
    if os.waitpid(forked(None), 0)[1] != 0:
        print("the tests fail without a mutant, so they could not tell one", file=sys.stderr)
        return 1
    print(f"{len(mutants)} mutants; the tests take {time.monotonic() - began:.1f} s", flush=True)
    alive: list[Mutant] = []
    ran: Counter[str] = Counter()
    wanted = set(mutants)
    trees = (pair for target in chosen for pair in mutants_of(target) if pair[0] in wanted)

    def changes() -> Iterator[tuple[Numbered, Changed]]:
        for number, (mutant, tree) in enumerate(trees, 1):
            if options.minutes and time.monotonic() - began > options.minutes * 60:
                print(f"time is up after {number - 1} of {len(mutants)}")
                return
            ran[mutant.target] += 1
            yield (number, mutant), Changed(mutant.target, tree)

    for (number, mutant), lives in tried(changes()):
        if lives:
            alive.append(mutant)
            mark = "alive, with a reason" if mutant.key in known else "ALIVE"
            print(f"{mark}: {mutant.key} (line {mutant.line}; {number} of {len(mutants)})", flush=True)
    unexplained = [mutant for mutant in alive if mutant.key not in known]
    killed = sorted({m.key for m in mutants[: sum(ran.values())]} & set(known) - {m.key for m in alive})
    for key in killed:
        print(f"killed, so its reason is to go: {key}")
    for key in sorted(forgotten):
        print(f"no such mutant, so its reason is to go: {key}")
    living = Counter(mutant.target for mutant in alive)
    for target in chosen:
        print(
            f"{target:32} {ran[target]:5} run {ran[target] - living[target]:5} killed {living[target]:4} alive"
        )
    print(
        f"{sum(ran.values())} mutants, {sum(ran.values()) - len(alive)} killed, {len(alive)} alive, "
        f"{len(unexplained)} of them without a reason, {time.monotonic() - began:.0f} s"
    )
    return 1 if unexplained or killed or forgotten else 0


if __name__ == "__main__":
    sys.exit(main())
