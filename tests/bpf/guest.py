"""Another kernel to run these tests on: Debian's own 6.1 in QEMU, without installing anything.

The kernel package is fetched once (`apt-get download`) and kept under .cache/. The guest's whole file system is
an initramfs made of what is here: busybox, this Python with what the tests import, `ip`, libbpf and the sources.
Software emulation will do: KVM did not get past boot where this was tried.
"""

from __future__ import annotations

import gzip
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / ".cache" / "kernel-6.1"
MODULES = ("crc32c_generic", "libcrc32c", "veth", "sch_ingress", "cls_bpf")
PACKAGES = (
    "dns",
    "pytest",
    "_pytest",
    "pluggy",
    "iniconfig",
    "packaging",
    "pygments",
    "pytest_timeout.py",
    "py.py",
)
LIBRARIES = ("libbpf.so.1",)
LEFT_OUT = {"test", "idlelib", "tkinter", "lib2to3", "ensurepip", "pydoc_data", "turtledemo", "dist-packages"}
INIT = """#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t proc none /proc; mount -t sysfs none /sys; mount -t devtmpfs none /dev
mount -t tmpfs none /tmp; mount -t tmpfs none /run; mount -t bpf none /sys/fs/bpf
for module in /modules/*.ko; do insmod $module; done
echo 1 > /proc/sys/net/core/bpf_jit_enable
ip link set lo up
export PATH=/bin:/sbin:/usr/bin:/usr/sbin PYTHONPATH=/src:/packages PYTHONDONTWRITEBYTECODE=1 HOME=/tmp
cd /repository
COMMAND
echo "guest: exit $?"
poweroff -f
"""


class CannotBoot(Exception):
    """What is missing here, as a reason to skip."""


def boot(command: str, seconds: int = 240) -> tuple[int, str]:
    """Runs a shell command in the guest: its exit code and all that the console showed."""
    qemu = shutil.which("qemu-system-x86_64")
    if qemu is None:
        raise CannotBoot("qemu is not installed; apt-get install qemu-system-x86")
    if os.uname().machine != "x86_64":
        raise CannotBoot("the guest is made from this machine's own programs, which are not x86_64")
    kernel, modules = fetch_kernel()
    initrd = CACHE / "initrd.gz"
    make_initrd(initrd, modules, INIT.replace("COMMAND", command))
    result = subprocess.run(
        [
            *(qemu, "-nodefaults", "-no-reboot", "-display", "none", "-serial", "stdio", "-cpu", "max"),
            *("-accel", "tcg", "-smp", "2", "-m", "2G", "-kernel", str(kernel), "-initrd", str(initrd)),
            *("-append", "console=ttyS0 quiet panic=-1 mitigations=off"),
        ],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=seconds,
        check=False,
    )
    shown = result.stdout.decode(errors="replace")
    code = re.search(r"guest: exit (\d+)", shown)
    return int(code[1]) if code else 255, shown


def fetch_kernel() -> tuple[Path, Path]:
    """The kernel image and the folder of its modules."""
    CACHE.mkdir(parents=True, exist_ok=True)
    found = list(CACHE.glob("root/boot/vmlinuz-6.1*"))
    if not found:
        names = subprocess.run(
            ["apt-cache", "depends", "linux-image-cloud-amd64"], capture_output=True, text=True, check=False
        ).stdout
        name = re.search(r"Depends: (linux-image-6\.1\S+)", names)
        if name is None:
            raise CannotBoot("apt knows no linux-image-6.1 (cloud-amd64): not a Debian 12")
        got = subprocess.run(
            ["apt-get", "download", name[1]], cwd=CACHE, capture_output=True, text=True, check=False
        )
        packages = list(CACHE.glob("linux-image-6.1*.deb"))
        if not packages:
            raise CannotBoot(f"cannot download {name[1]}: {got.stderr.strip()}")
        subprocess.run(["dpkg-deb", "-x", packages[0], CACHE / "root"], check=True)
        found = list(CACHE.glob("root/boot/vmlinuz-6.1*"))
    version = found[0].name.removeprefix("vmlinuz-")
    return found[0], CACHE / "root/lib/modules" / version


def make_initrd(target: Path, modules: Path, init: str) -> None:
    tree = CACHE / "tree"
    shutil.rmtree(tree, ignore_errors=True)
    for name in (
        "bin",
        "proc",
        "sys",
        "dev",
        "tmp",
        "run",
        "modules",
        "packages",
        "src",
        "repository",
        "var",
    ):
        (tree / name).mkdir(parents=True)
    (tree / "var/run").symlink_to("/run")
    busybox = shutil.which("busybox")
    if busybox is None:
        raise CannotBoot("busybox is not installed; apt-get install busybox-static")
    shutil.copy(busybox, tree / "bin/busybox")
    python = Path(os.path.realpath(sys.executable))
    _copy_program(python, tree, "bin/python3")
    _copy_program(Path(shutil.which("ip") or "/sbin/ip"), tree, "bin/ip")
    stdlib = Path(sysconfig.get_path("stdlib"))
    shutil.copytree(stdlib, tree / str(stdlib).lstrip("/"), ignore=lambda _, names: LEFT_OUT & set(names))
    for extension in (stdlib / "lib-dynload").glob("*.so"):
        _copy_libraries(_needed(extension), tree)
    for library in LIBRARIES:
        path = Path("/usr/lib/x86_64-linux-gnu") / library
        _copy_libraries([path, *_needed(path)], tree)
    site = Path(sysconfig.get_path("purelib"))
    for package in PACKAGES:
        source = site / package
        if source.is_dir():
            shutil.copytree(source, tree / "packages" / package)
        elif source.exists():
            shutil.copy(source, tree / "packages")
    shutil.copytree(ROOT / "src/namewall", tree / "src/namewall")
    shutil.copytree(ROOT / "tests/bpf", tree / "repository/tests/bpf")
    shutil.copytree(ROOT / "bpf", tree / "repository/bpf")
    shutil.copytree(ROOT / "scripts", tree / "repository/scripts")
    (tree / "repository/src").symlink_to("/src")
    verdicts = ROOT.parent / "shared/conformance/verdicts.jsonl"
    if verdicts.exists():
        (tree / "shared/conformance").mkdir(parents=True)
        shutil.copy(verdicts, tree / "shared/conformance")
    for number, name in enumerate(MODULES):
        for path in modules.rglob(f"{name}.ko"):
            shutil.copy(path, tree / "modules" / f"{number}-{path.name}")
    (tree / "init").write_text(init)
    (tree / "init").chmod(0o755)
    names = subprocess.run(["find", "."], cwd=tree, capture_output=True, check=True).stdout
    archive = subprocess.run(
        ["cpio", "-o", "-H", "newc", "--quiet"], cwd=tree, input=names, capture_output=True, check=True
    ).stdout
    target.write_bytes(gzip.compress(archive, compresslevel=1))
    shutil.rmtree(tree)


def _needed(program: Path) -> list[Path]:
    listed = subprocess.run(["ldd", program], capture_output=True, text=True, check=False).stdout
    return [Path(path) for path in re.findall(r"(/\S+)", listed)]


def _copy_libraries(paths: Iterable[Path], tree: Path) -> None:
    for path in paths:
        target = tree / str(path).lstrip("/")
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target)


def _copy_program(source: Path, tree: Path, name: str) -> None:
    shutil.copy(source, tree / name)
    _copy_libraries(_needed(source), tree)
