"""Programs at the host's side of a workload's veth.

tcx links (kernel 6.6 and later) are pinned, so they outlive us, and their program is replaced without a gap.
Before 6.6 a clsact filter does the same; it lives as long as the interface, and a directory among the pins
remembers it. What comes in at the host's side the workload has sent: `from_endpoint`.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator, Mapping

from namewall.datapath import libbpf

HOOKS = {
    "from_endpoint": (libbpf.TCX_INGRESS, libbpf.TC_INGRESS),
    "to_endpoint": (libbpf.TCX_EGRESS, libbpf.TC_EGRESS),
}
"""Program → its tcx and its clsact hook."""


class Attachments:
    """Below `folder`: `IFINDEX-PROGRAM` is a link, `IFINDEX-clsact` a directory (no dots in a bpffs)."""

    def __init__(self, folder: str) -> None:
        self._folder = folder

    def attached(self) -> set[int]:
        """Interfaces with a link or filter of ours, gone ones among them."""
        try:
            return {int(name.partition("-")[0]) for name in os.listdir(self._folder)}
        except FileNotFoundError:
            return set()

    def attach(self, ifindex: int, programs: Mapping[str, int]) -> None:
        """Idempotent; what is attached already runs these programs afterwards."""
        os.makedirs(self._folder, exist_ok=True)
        for name, (tcx, clsact) in HOOKS.items():
            if self._update(ifindex, name, programs[name]):
                continue
            try:
                link = libbpf.create_tcx_link(programs[name], ifindex, tcx)
            except OSError as error:
                if error.errno != errno.EINVAL:
                    raise
                self._attach_clsact(ifindex, programs[name], clsact)
                continue
            try:
                libbpf.pin(link, self._path(ifindex, name))
            finally:
                os.close(link)

    def _attach_clsact(self, ifindex: int, program: int, hook: int) -> None:
        os.makedirs(self._path(ifindex, "clsact"), exist_ok=True)
        libbpf.attach_clsact(program, ifindex, hook)

    def _update(self, ifindex: int, name: str, program: int) -> bool:
        """Is there a living link? Then it runs this program now."""
        path = self._path(ifindex, name)
        try:
            link = libbpf.open_pin(path)
        except FileNotFoundError:
            return False
        try:
            info = libbpf.link_info(link)
            if info.ifindex != ifindex:  # 0: the interface has gone, and its number is in use again
                os.unlink(path)
                return False
            if info.prog_id != libbpf.program_info(program).id:
                libbpf.update_link(link, program)
            return True
        finally:
            os.close(link)

    def detach(self, ifindex: int) -> None:
        for name, (_, hook) in HOOKS.items():
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._path(ifindex, name))
            if os.path.isdir(self._path(ifindex, "clsact")):
                libbpf.detach_clsact(ifindex, hook)
        with contextlib.suppress(FileNotFoundError):
            os.rmdir(self._path(ifindex, "clsact"))

    def detach_all(self) -> None:
        for ifindex in self.attached():
            self.detach(ifindex)
        with contextlib.suppress(FileNotFoundError):
            os.rmdir(self._folder)

    def programs(self, ifindex: int) -> Iterator[tuple[str, int]]:
        """Which programs (ids) run at an interface, where links say so."""
        for name in HOOKS:
            with contextlib.suppress(FileNotFoundError):
                link = libbpf.open_pin(self._path(ifindex, name))
                try:
                    yield name, libbpf.link_info(link).prog_id
                finally:
                    os.close(link)

    def _path(self, ifindex: int, name: str) -> str:
        return f"{self._folder}/{ifindex}-{name}"
