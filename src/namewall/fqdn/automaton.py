"""All name patterns of a node as one automaton over the reversed name.

Reversed, because the patterns' fixed ends are their right ends: names share suffixes, and `*.x` and `**.x`
become plain tails. A walk costs one cell a character, whatever the number of patterns. The accept class is the
set of selectors that match, so one walk answers for toFQDNs and DNS rules together.

Patterns are normal forms (`policy.patterns`): a name; `*` inside a label is zero or more of `[-a-z0-9_]`;
a leading `**.` is one or more whole labels; the form `*` alone is every name of policy characters and the root.

The table is a double array (Aho, Tsuchiya): state `b` goes over symbol `s` to the state in cell `b + s`, if that
cell's owner is `b`; cell `b + 0` holds the accept class. bpf/names.h walks the same cells.

Several floating stars over one suffix (`*a*.x`, `*b*.x`, …) multiply states. A budget bounds that, and what
does not fit is refused here, before anything reaches the kernel.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass

ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789-_."
"""Symbol numbers are positions here plus one; 0 is the accept cell. Same order as `symbols` in bpf/names.h."""

SYMBOLS = {character: number for number, character in enumerate(ALPHABET, 1)}
DOT = SYMBOLS["."]
WITHIN_LABEL = range(1, DOT)
STATE_BUDGET = 50_000
"""States beyond those that the patterns' own characters need."""


class TooManyStates(ValueError):
    """The patterns multiply beyond the budget; the text names some of those that do it."""


@dataclass(frozen=True, slots=True)
class Automaton:
    """`cells` as the kernel holds them, each `owner << 32 | target`, the root's base in cell 0; an accept cell's

    target is an index into `classes`, the sets of selectors that are told apart. An empty one is no class.
    """

    cells: array[int]
    classes: tuple[frozenset[str], ...]
    states: int
    selectors: Mapping[str, str]
    """What it was made of."""
    accepts: array[int]
    """The accept cells. Some may be of states that are no longer reached."""
    packed: int
    """How many cells there were when all was built at once (see `fqdn.change`)."""

    def walk(self, name: str) -> int:
        """The index of the class of a canonical name, 0 if nothing matches."""
        cells = self.cells
        base = cells[0]
        for character in reversed(name):
            symbol = SYMBOLS.get(character)
            if symbol is None:
                return 0
            cell = cells[base + symbol]
            if cell >> 32 != base:
                return 0
            base = cell & 0xFFFFFFFF
        cell = cells[base]
        return cell & 0xFFFFFFFF if cell >> 32 == base else 0

    def match(self, name: str) -> frozenset[str]:
        """The selectors that match a canonical name (lower case, trailing dot)."""
        return self.classes[self.walk(name)]

    def told_apart(self) -> list[frozenset[str]]:
        """The classes a name may be in, none of them empty."""
        return [selectors for selectors in self.classes if selectors]

    def numbered(self, number: Callable[[frozenset[str]], int]) -> array[int]:
        """The cells with every class index replaced by the number that stands for it."""
        cells = array("Q", self.cells)
        numbers = [number(selectors) if selectors else 0 for selectors in self.classes]
        for index in self.accepts:
            cells[index] = index << 32 | numbers[cells[index] & 0xFFFFFFFF]
        return cells


class _Node:
    """A place in some patterns, read from the right. Entering it enters `star` and `forks` too."""

    __slots__ = ("accepts", "edges", "forks", "loops", "star")

    def __init__(self, loops: bool = False) -> None:
        self.edges: dict[int, _Node] = {}
        self.loops = loops
        """Inside a star: every character of a label stays here."""
        self.star: _Node | None = None
        self.forks: list[_Node] = []
        self.accepts: list[str] = []


def build(selectors: Mapping[str, str], budget: int = STATE_BUDGET) -> Automaton:
    """`selectors`: key → normal form. Keys are what classes are sets of, so two keys may have one form."""
    root = _Node()
    for key, form in selectors.items():
        _add(root, form, key)
    return _determinize(root, characters(selectors.values()) + budget, selectors)


def characters(forms: Iterable[str]) -> int:
    """How many states the patterns' own characters need at most."""
    return sum(map(len, forms)) + 4


def start_of(form: str) -> State | None:
    """The beginning of one pattern alone; None if no name can match it."""
    root = _Node()
    return _closure([root]) if _add(root, form, form) else None


def _add(root: _Node, form: str, key: str) -> bool:
    """False, and nothing added, for one with a character that no question can have: it never matches."""
    if not SYMBOLS.keys() >= set(form) - {"*"}:
        return False
    if form == "*":
        dot = _Node()
        dot.accepts.append(key)  # the root itself
        dot.forks.append(_labels(key))
        fork = _Node()
        fork.edges[DOT] = dot
        root.forks.append(fork)
        return True
    whole_labels = form.startswith("**.")
    node = root
    for character in reversed(form[2:] if whole_labels else form):
        if character == "*":
            if node.star is None:
                node.star = _Node(loops=True)
            node = node.star
            continue
        symbol = SYMBOLS[character]
        after = node.edges.get(symbol)
        if after is None:
            after = node.edges[symbol] = _Node()
        node = after
    if whole_labels:
        node.forks.append(_labels(key))
    else:
        node.accepts.append(key)
    return True


def _labels(key: str) -> _Node:
    """After a dot: one or more whole labels, then the name's beginning."""
    start, inside = _Node(), _Node()
    inside.accepts.append(key)
    for symbol in WITHIN_LABEL:
        start.edges[symbol] = inside
        inside.edges[symbol] = inside
    inside.edges[DOT] = start
    return start


def _closure(nodes: Iterable[_Node]) -> frozenset[_Node]:
    found: set[_Node] = set()
    waiting = list(nodes)
    while waiting:
        node = waiting.pop()
        if node not in found:
            found.add(node)
            waiting += node.forks
            if node.star is not None:
                waiting.append(node.star)
    return frozenset(found)


State = frozenset[_Node]


def moves_of(state: State) -> dict[int, State]:
    """Where each symbol leads; symbols that lead nowhere are left out."""
    targets: dict[int, list[_Node]] = {}
    loops = [node for node in state if node.loops]
    for node in state:
        for symbol, target in node.edges.items():
            targets.setdefault(symbol, []).append(target)
    moves: dict[int, State] = dict.fromkeys(WITHIN_LABEL, _closure(loops)) if loops else {}
    kept: dict[tuple[int, ...], State] = {}
    for symbol, found in targets.items():
        if loops and symbol != DOT:
            found += loops
        elif len(found) == 1 and found[0].star is None and not found[0].forks:
            moves[symbol] = frozenset(found)
            continue
        ids = tuple(sorted(map(id, found)))
        if ids not in kept:
            kept[ids] = _closure(found)
        moves[symbol] = kept[ids]
    return moves


def _determinize(root: _Node, limit: int, selectors: Mapping[str, str]) -> Automaton:
    start = _closure([root])
    numbers: dict[State, int] = {start: 0}
    order: list[State] = [start]
    moves: list[dict[int, int]] = []
    accepts: list[int] = []
    classes: dict[frozenset[str], int] = {frozenset(): 0}
    at = 0
    while at < len(order):
        state = order[at]
        at += 1
        row: dict[int, int] = {}
        for symbol, target in moves_of(state).items():
            number = numbers.get(target)
            if number is None:
                number = numbers[target] = len(order)
                order.append(target)
                if number > limit:
                    raise TooManyStates(_blame(selectors, limit))
            row[symbol] = number
        moves.append(row)
        keys = frozenset(key for node in state for key in node.accepts)
        accepts.append(classes.setdefault(keys, len(classes)))
    cells, bases = _pack(moves, accepts)
    accepting = array("I", (base for base, accept in zip(bases, accepts, strict=True) if accept))
    return Automaton(cells, tuple(classes), len(order), dict(selectors), accepting, len(cells))


def _blame(selectors: Mapping[str, str], limit: int) -> str:
    floating = sorted(
        {form for form in selectors.values() if form.count("*") > 1 and not form.startswith("**.")}
    )
    worst = floating or sorted({form for form in selectors.values() if "*" in form})
    named = ", ".join(f"`{form}`" for form in worst[:3])
    return (
        f"the name patterns together need more than {limit} states; patterns with several stars over one suffix "
        f"multiply, such as {named}: write them with fewer stars or list the names"
    )


def _pack(moves: list[dict[int, int]], accepts: list[int]) -> tuple[array[int], list[int]]:
    """The cells, and the states' bases, which are different, since a cell's owner is told by its base. First fit.

    Cells only fill up, so where one set of symbols did not fit it never will: each set goes on from where it
    was placed last, which keeps the whole nearly linear.
    """
    size = 4 * len(moves) + 256
    used, bases_used = bytearray(size), bytearray(size)
    used[0] = 1  # cell 0 is the root's base
    bases = [0] * len(moves)
    reached: dict[tuple[int, ...], int] = {}
    free = end = 1
    for number, row in enumerate(moves):
        wanted = tuple(sorted(row))
        if accepts[number]:
            wanted = (0, *wanted)
        while free < size and used[free]:
            free += 1
        base = reached.get(wanted, 0)
        if not base:
            first = wanted[0] if wanted else 0
            # A set seen for the first time and wide seldom fits into the gaps of the crowded part.
            base = max(1, (free if len(wanted) < 3 else max(free, end - 512)) - first)
        while True:
            while base + 64 >= size:
                used.extend(bytes(size))
                bases_used.extend(bytes(size))
                size *= 2
            after = _after_taken(used, base, wanted)
            if after == base and not bases_used[base]:
                break
            base = max(base + 1, after)
        bases[number] = reached[wanted] = base
        bases_used[base] = 1
        for symbol in wanted:
            used[base + symbol] = 1
        end = max(end, base)
    last = max((base + max(row, default=0) for base, row in zip(bases, moves, strict=True)), default=0)
    # Every state's walk may look 39 cells beyond its base, so that many follow the last.
    cells = array("Q", bytes(8 * (last + len(ALPHABET) + 2)))
    cells[0] = bases[0]
    for number, row in enumerate(moves):
        base = bases[number]
        if accepts[number]:
            cells[base] = base << 32 | accepts[number]
        for symbol, target in row.items():
            cells[base + symbol] = base << 32 | bases[target]
    return cells, bases


def _after_taken(used: bytearray, base: int, wanted: tuple[int, ...]) -> int:
    """`base` if all wanted cells are free, else the next base that may do."""
    if wanted and wanted[-1] - wanted[0] == len(wanted) - 1:
        # A run (one symbol, or all of a label's, as after a star): the search is bytearray's.
        taken = used.rfind(1, base + wanted[0], base + wanted[-1] + 1)
        if taken < 0:
            return base
        free = used.find(0, taken + 1)
        return (free if free >= 0 else len(used)) - wanted[0]
    return base + any(used[base + symbol] for symbol in wanted)


def selectors_of(fqdn: Collection[str], dns: Collection[str]) -> dict[str, str]:
    """The keys classes are made of: `fqdn:FORM` and `dns:FORM`. A DNS rule's match-all is no pattern."""
    return {f"fqdn:{form}": form for form in fqdn} | {f"dns:{form}": form for form in dns}
