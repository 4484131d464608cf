"""The name cache prolongs, expires, is bounded for each scope, and survives a file."""

from ipaddress import ip_address

from namewall.state.names import NAMES_A_SCOPE, NameCache

A = ip_address("203.0.113.1")
B = ip_address("2001:db8::1")


def rows(cache: NameCache) -> set[tuple[int, str, str, float]]:
    return {(row.scope, row.name, str(row.address), row.deadline) for row in cache.known()}


def test_an_answer_prolongs_and_never_shortens() -> None:
    cache = NameCache()
    cache.learn(1, "x.example.", [A, B], 100)
    cache.learn(1, "x.example.", [A], 50)
    cache.learn(1, "x.example.", [B], 200)
    assert rows(cache) == {(1, "x.example.", str(A), 100), (1, "x.example.", str(B), 200)}


def test_what_is_over_goes_and_scopes_do_not_mix() -> None:
    cache = NameCache()
    cache.learn(1, "x.example.", [A], 100)
    cache.learn(2, "y.example.", [A], 200)
    assert cache.names_of(1, A) == ["x.example."]
    cache.expire(100)
    assert rows(cache) == {(2, "y.example.", str(A), 200)}
    cache.keep([1])
    assert rows(cache) == set()


def test_a_flood_in_one_scope_leaves_the_other_alone() -> None:
    cache = NameCache()
    cache.learn(2, "kept.example.", [A], 1)
    flood = NAMES_A_SCOPE + NAMES_A_SCOPE // 8 + 1
    for number in range(flood):
        cache.learn(1, f"n{number}.example.", [A], 1000 + number)
    known = rows(cache)
    assert (2, "kept.example.", str(A), 1) in known
    assert len(known) == NAMES_A_SCOPE + 1
    assert (
        1,
        f"n{flood - NAMES_A_SCOPE - 1}.example.",
        str(A),
        1000 + flood - NAMES_A_SCOPE - 1,
    ) not in known


def test_dump_and_restore_are_inverse() -> None:
    cache, copy = NameCache(), NameCache()
    cache.learn(1, "x.example.", [A, B], 100.5)
    copy.restore(cache.dump())
    assert copy.known() == cache.known()
