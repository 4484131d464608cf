"""bpf/types.h and its Python twins say the same, as the object's own BTF has it."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

import pytest

from namewall.datapath import layout, libbpf
from namewall.model.flow import DropReason
from namewall.model.identity import Reserved
from namewall.model.net import Direction

INT, PTR, ARRAY, STRUCT, UNION, ENUM, FWD, TYPEDEF, VOLATILE, CONST = range(1, 11)
RESTRICT, FUNC, FUNC_PROTO, VAR, DATASEC, FLOAT, DECL_TAG, TYPE_TAG, ENUM64 = range(11, 20)


@dataclass
class Type:
    kind: int
    name: str
    size: int
    members: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Struct: name → offset and type. Enum: name → value and 0."""
    element: tuple[int, int] = (0, 0)


def section(elf: bytes, wanted: bytes) -> bytes:
    (start,) = struct.unpack_from("<Q", elf, 40)
    size, count, names = struct.unpack_from("<HHH", elf, 58)
    headers = [struct.unpack_from("<IIQQQQ", elf, start + i * size) for i in range(count)]
    strings = headers[names][4]
    for name, _, _, _, offset, length in headers:
        end = elf.index(b"\0", strings + name)
        if elf[strings + name : end] == wanted:
            return elf[offset : offset + length]
    raise AssertionError(f"no section {wanted!r}")


def read_btf(raw: bytes) -> list[Type]:
    _, _, _, head, types_at, types_length, strings_at, _ = struct.unpack_from("<HBBIIIII", raw)
    strings = raw[head + strings_at :]

    def text(at: int) -> str:
        return strings[at : strings.index(b"\0", at)].decode()

    found = [Type(0, "void", 0)]
    at, end = head + types_at, head + types_at + types_length
    while at < end:
        name, info, size = struct.unpack_from("<III", raw, at)
        at += 12
        kind, count = info >> 24 & 0x1F, info & 0xFFFF
        made = Type(kind, text(name), size)
        if kind in (STRUCT, UNION):
            for i in range(count):
                member, kind_of, offset = struct.unpack_from("<III", raw, at + 12 * i)
                made.members[text(member)] = (offset // 8, kind_of)
            at += 12 * count
        elif kind == ENUM:
            for i in range(count):
                member, value = struct.unpack_from("<II", raw, at + 8 * i)
                made.members[text(member)] = (value, 0)
            at += 8 * count
        elif kind == ARRAY:
            made.element = struct.unpack_from("<I4xI", raw, at)
            at += 12
        else:
            at += {
                INT: 4,
                VAR: 4,
                DECL_TAG: 4,
                FUNC_PROTO: 8 * count,
                DATASEC: 12 * count,
                ENUM64: 12 * count,
            }.get(kind, 0)
        found.append(made)
    return found


@pytest.fixture(scope="module")
def btf() -> list[Type]:
    return read_btf(section(libbpf.object_file(), b".BTF"))


def size_of(btf: list[Type], number: int) -> int:
    made = btf[number]
    if made.kind in (TYPEDEF, CONST, VOLATILE):
        return size_of(btf, made.size)
    if made.kind == ARRAY:
        return made.element[1] * size_of(btf, made.element[0])
    return made.size


def named(btf: list[Type], kind: int, name: str) -> Type:
    return next(made for made in btf if made.kind == kind and made.name == name)


@pytest.mark.parametrize("twin", layout.LAYOUTS, ids=lambda twin: twin.name)
def test_every_struct(btf: list[Type], twin: layout.Layout) -> None:
    there = named(btf, STRUCT, twin.name)
    assert twin.size == there.size
    ours = {name: (twin.offset(name), struct.calcsize("<" + code)) for name, code in twin.fields.items()}
    theirs = {name: (offset, size_of(btf, kind)) for name, (offset, kind) in there.members.items()}
    assert ours == theirs


def enum(btf: list[Type], name: str, prefix: str) -> dict[str, int]:
    return {key.removeprefix(prefix): value for key, (value, _) in named(btf, ENUM, name).members.items()}


def test_every_enum(btf: list[Type]) -> None:
    assert enum(btf, "drop_reason", "DROP_") == {reason.name: reason.value for reason in DropReason}
    assert enum(btf, "direction", "") == {one.name: one.value for one in Direction}
    assert enum(btf, "event_type", "EVENT_") == {one.name: one.value for one in layout.EventType}
    assert enum(btf, "grant_result", "GRANT_") == {
        one.name: one.value & 0xFFFFFFFF for one in layout.GrantResult
    }
    reserved = enum(btf, "identity", "IDENTITY_")
    assert reserved == {name: Reserved[name].value for name in reserved}
    constants = {
        **enum(btf, "endpoint_flags", ""),
        **enum(btf, "policy_flags", ""),
        **enum(btf, "ipcache_flags", ""),
        **enum(btf, "maintain_operation", ""),
        **enum(btf, "learned_flags", ""),
    }
    constants |= {
        name: value for name, value in enum(btf, "peer_kind", "").items() if name != "PEER_IDENTITY"
    }
    constants["CLASS_GRANTS"] = enum(btf, "class_flags", "")["CLASS_GRANTS"]
    assert constants == {name: getattr(layout, name) for name in constants}


def test_the_programs_own_numbers(btf: list[Type]) -> None:
    assert size_of(btf, named(btf, STRUCT, "endpoint").members["addresses"][1]) == 16 * layout.MAX_ADDRESSES
    assert named(btf, STRUCT, "pending_set").size == layout.PENDING_SET_BYTES
    assert named(btf, STRUCT, "grant_page").size == 8 * layout.GRANT_SLOTS


def test_the_symbols_are_the_automatons() -> None:
    """bpf/names.h numbers characters as fqdn/automaton.py does."""
    import re
    from pathlib import Path

    from namewall.fqdn.automaton import SYMBOLS

    source = (Path(__file__).resolve().parents[2] / "bpf/names.h").read_text()
    assert {c: int(n) for c, n in re.findall(r"\['(.)'\] = (\d+)", source)} == SYMBOLS
