"""Can this machine do it? Each answer names a cause and its cure."""

from __future__ import annotations

import os
import platform
import re

OLDEST_KERNEL = (6, 1)


def check_support() -> list[str]:
    """What is missing for the datapath, a sentence each; empty when nothing is."""
    problems = []
    if os.geteuid() != 0:
        problems.append("BPF programs need root; run it with sudo")
    release = platform.release()
    numbers = re.match(r"(\d+)\.(\d+)", release)
    if platform.system() != "Linux" or numbers is None:
        problems.append(f"the datapath needs Linux, not {platform.system()}; use a Linux machine")
        return problems
    if (int(numbers[1]), int(numbers[2])) < OLDEST_KERNEL:
        wanted = ".".join(map(str, OLDEST_KERNEL))
        problems.append(f"kernel {release} is older than {wanted}; boot a kernel from {wanted} on")
    if not os.path.exists("/sys/kernel/btf/vmlinux"):
        problems.append("the kernel has no BTF; boot one built with CONFIG_DEBUG_INFO_BTF=y")
    if "bpf" not in _filesystems():
        problems.append("the kernel has no BPF; boot one built with CONFIG_BPF_SYSCALL=y")
    if not os.path.isfile(os.path.join(os.path.dirname(__file__), "endpoint.bpf.o")):
        problems.append("the BPF programs are not compiled; run `python scripts/build_bpf.py` (make does)")
    problems += _library_problems()
    return problems


def _filesystems() -> set[str]:
    try:
        with open("/proc/filesystems", encoding="ascii") as file:
            return {line.split()[-1] for line in file if line.strip()}
    except OSError:
        return set()


def _library_problems() -> list[str]:
    from namewall.datapath import libbpf

    try:
        libbpf.library()
    except OSError:
        return ["libbpf.so.1 is not installed; apt-get install libbpf1"]
    except AttributeError as error:
        return [f"libbpf is too old ({error}); install libbpf 1.0 or newer"]
    return []
