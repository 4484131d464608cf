"""Programs and maps as pins in a bpffs: made once, found again by every later process.

    PIN_DIR/EPOCH/…       the maps and the three programs of one epoch (datapath/numbers.py)
    PIN_DIR/links/…       what is attached where (datapath/attach.py)

Another schema or a lost numbers file begins a new epoch beside the old one: the old programs enforce until the
links are turned over, so there is no gap.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import shutil
from dataclasses import dataclass, field

from namewall.datapath import layout, libbpf
from namewall.datapath.base import Options
from namewall.datapath.numbers import Numbers
from namewall.model.cluster import Refusal
from namewall.model.net import Address
from namewall.state.tables import DnsSettings

MAPS = (
    "config",
    "endpoints",
    "ipcache",
    "cidrs",
    "policies",
    "dns_rules",
    "services",
    "trusted",
    "dns_ports",
    "question_rates",
    "proxy_rates",
    "automaton",
    "connections",
    "grants",
    "grant_orders",
    "questions",
    "counters",
    "events",
)
PROGRAMS = ("from_endpoint", "to_endpoint", "maintain")
SECOND = 1_000_000_000
BURST, LEAST_BURST = 0.1, 20
"""How many of an endpoint's questions may come at once: so many seconds' worth, and no less than so many. A tenth of
a second's is what a DNS server's socket still holds while it waits for its turn of the processor."""
REFUSALS: tuple[Refusal, ...] = ("auto", "refused", "nxdomain")


@dataclass(frozen=True, slots=True)
class Objects:
    """Descriptors of everything that is pinned."""

    maps: dict[str, int]
    programs: dict[str, int]
    replaced: bool
    """The programs are newer than those that the links run."""

    def close(self) -> None:
        for fd in (*self.maps.values(), *self.programs.values()):
            os.close(fd)


def digest() -> str:
    return hashlib.sha256(libbpf.object_file()).hexdigest()


def epoch_dir(pin_dir: str, epoch: int) -> str:
    return f"{pin_dir}/{epoch:08x}"


def usable(pin_dir: str, numbers: Numbers) -> bool:
    """Are the pinned maps of this epoch there, of this schema, and complete?"""
    if not numbers.epoch:
        return False
    try:
        fd = libbpf.open_pin(f"{epoch_dir(pin_dir, numbers.epoch)}/config")
    except OSError:
        return False
    try:
        if libbpf.map_info(fd).value_size != layout.CONFIG.size:
            return False  # of another schema
        raw = libbpf.lookup(fd, bytes(4), layout.CONFIG.size)
    except OSError:
        return False
    finally:
        os.close(fd)
    if raw is None:
        return False
    schema, _, epoch, *_ = layout.CONFIG.unpack(raw)
    return bool(schema == layout.SCHEMA and epoch == numbers.epoch)


def make(pin_dir: str, numbers: Numbers, options: Options) -> None:
    """The object into the kernel, on maps of this epoch if they are pinned, else on new ones."""
    folder = epoch_dir(pin_dir, numbers.epoch)
    os.makedirs(folder, exist_ok=True)
    made = libbpf.Object(libbpf.object_file(), folder)
    try:
        for name, entries in _sizes(folder, options).items():
            made.resize(name, entries)
        made.load()
        for name in PROGRAMS:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(f"{folder}/{name}")
            libbpf.pin(made.program(name), f"{folder}/{name}")
    finally:
        made.close()


def _sizes(folder: str, options: Options) -> dict[str, int]:
    """As asked; a map that is pinned already keeps its size."""
    sizes = {
        "endpoints": options.endpoints,
        "ipcache": options.ipcache,
        "cidrs": options.prefixes,
        "policies": options.policies,
        "dns_rules": options.dns_rules,
        "services": options.services,
        "connections": options.endpoints,
        "grants": options.endpoints,
        "grant_orders": options.endpoints,
        "questions": options.endpoints,
        "question_rates": options.endpoints,
        "proxy_rates": options.endpoints,
        "events": options.event_bytes,
    }
    for name in sizes:
        with contextlib.suppress(OSError):
            fd = libbpf.open_pin(f"{folder}/{name}")
            sizes[name] = libbpf.map_info(fd).max_entries
            os.close(fd)
    return sizes


def open_pins(pin_dir: str, epoch: int, replaced: bool) -> Objects:
    folder = epoch_dir(pin_dir, epoch)
    opened: list[int] = []
    try:
        maps, programs = {}, {}
        for name in MAPS:
            maps[name] = libbpf.open_pin(f"{folder}/{name}")
            opened.append(maps[name])
        for name in PROGRAMS:
            programs[name] = libbpf.open_pin(f"{folder}/{name}")
            opened.append(programs[name])
    except OSError:
        for fd in opened:
            os.close(fd)
        raise
    return Objects(maps, programs, replaced)


@dataclass(slots=True)
class Config:
    """The one row of the `config` map."""

    fd: int
    generation: int
    epoch: int
    secret: int
    gateways: tuple[Address, Address]
    dns: DnsSettings = field(default_factory=DnsSettings)
    marks: tuple[int, int] = (0, 0)
    """Of packets for the proxy of DNS over TCP and of its sockets."""
    ports: tuple[int, int] = (0, 0)
    """The proxy's, for IPv4 and IPv6; 0 is none."""

    @classmethod
    def read(
        cls, fd: int, epoch: int, gateways: tuple[Address, Address], secret: int | None = None
    ) -> Config:
        """`secret` is for a row that is new; None makes one up."""
        raw = libbpf.lookup(fd, bytes(4), layout.CONFIG.size) or bytes(layout.CONFIG.size)
        schema, generation, _, refusal, held, question_ns, _, label, grace, *more = layout.CONFIG.unpack(raw)
        if not schema:
            generation, held = 1, secrets.randbits(64) if secret is None else secret
        rate = round(SECOND / question_ns) if question_ns else 0
        dns = DnsSettings(REFUSALS[refusal], grace, rate, label)
        config = cls(fd, generation, epoch, held, gateways, dns, (more[0], more[1]), (more[2], more[3]))
        config.write()
        return config

    def _cost(self) -> int:
        """Nanoseconds that a question fills its endpoint's bucket for."""
        return SECOND // self.dns.rate if self.dns.rate else 0

    def write(self) -> None:
        gateway4, gateway6 = map(layout.pack_address, self.gateways)
        libbpf.update(
            self.fd,
            bytes(4),
            layout.CONFIG.pack(
                layout.SCHEMA,
                self.generation,
                self.epoch,
                layout.REFUSALS[self.dns.refusal],
                self.secret,
                self._cost(),
                max(int(BURST * SECOND), LEAST_BURST * self._cost()),
                self.dns.longest_label,
                self.dns.grace,
                *self.marks,
                *self.ports,
                0,
                gateway4,
                gateway6,
            ),
        )

    def bump(self) -> None:
        """Everything known is judged again with its next packet."""
        self.generation = (self.generation + 1) & 0xFFFFFFFF
        self.write()


def remove_other_epochs(pin_dir: str, epoch: int | None) -> None:
    """Pins of earlier epochs; with None, of all."""
    keep = f"{epoch:08x}" if epoch is not None else ""
    with contextlib.suppress(FileNotFoundError):
        for name in os.listdir(pin_dir):
            if name not in ("links", keep):
                remove_tree(f"{pin_dir}/{name}")


def remove_tree(path: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        shutil.rmtree(path)
