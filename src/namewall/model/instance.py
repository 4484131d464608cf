"""Where one Namewall on a host keeps its things, and how it marks them.

The default instance uses the paths of design.md section 6. A second one (`$NAMEWALL_ROOT`) has its own
everything: every path lies below its root, and a short tag derived from the root stands in the names of
namespaces, links, nft tables and marks, so that two instances never touch each other's.

Pure: reads no environment and touches no file; the CLI passes the root in.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

_TAG_ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True, slots=True)
class Instance:
    """Paths and names of one instance. `root` is "" for the default one, else an absolute path."""

    root: str = ""

    @property
    def tag(self) -> str:
        """Empty for the default instance, else four characters that stand in the names of its kernel objects."""
        if not self.root:
            return ""
        number = zlib.crc32(self.root.encode())
        digits = ""
        for _ in range(4):
            number, digit = divmod(number, len(_TAG_ALPHABET))
            digits += _TAG_ALPHABET[digit]
        return digits

    @property
    def state_dir(self) -> str:
        """Survives a reboot: the database, credentials, the kubeconfig."""
        return f"{self.root}/lib" if self.root else "/var/lib/namewall"

    @property
    def run_dir(self) -> str:
        """Gone after a reboot, as BPF maps and processes are: sockets, pids, pod state, logs."""
        return f"{self.root}/run" if self.root else "/run/namewall"

    @property
    def bpffs(self) -> str:
        """The mount point of the bpffs this instance pins in (mounted by `up` where it is missing)."""
        return f"{self.root}/bpf" if self.root else "/sys/fs/bpf"

    @property
    def pin_dir(self) -> str:
        return f"{self.bpffs}/namewall"

    @property
    def kubeconfig(self) -> str:
        return f"{self.state_dir}/kubeconfig"

    @property
    def database(self) -> str:
        return f"{self.state_dir}/namewall.db"

    @property
    def link_prefix(self) -> str:
        """Host-side interface names begin with this; at most 6 characters, so 9 are left of IFNAMSIZ - 1."""
        return f"nw{self.tag}"

    @property
    def name(self) -> str:
        """For nft tables, cgroups and container ids: `namewall` or `namewall-TAG`."""
        return f"namewall-{self.tag}" if self.tag else "namewall"

    @property
    def mark(self) -> int:
        """The skb mark and rule base of this instance, 16 bits in the high half; low half is free for use."""
        return 0x4E570000 ^ ((zlib.crc32(self.root.encode()) & 0x7FFF) << 16 if self.root else 0)

    @property
    def proxy_mark(self) -> int:
        """Of pods' packets for the proxy of DNS over TCP: a rule leads them to `route_table`."""
        return self.mark | 1

    @property
    def socket_mark(self) -> int:
        """Of that proxy's own sockets."""
        return self.mark | 2

    @property
    def route_table(self) -> int:
        """In which every address is the host's own."""
        return self.mark >> 16
