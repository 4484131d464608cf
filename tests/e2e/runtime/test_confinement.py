"""Root in a container tries to get out, or to see and change what is the host's. Everything fails."""

from __future__ import annotations

import ctypes
import os
import socket
import tempfile
from pathlib import Path

import pytest

from namewall.runtime import seccomp
from namewall.runtime.bundle import CAPABILITIES
from tests.e2e.runtime.harness import Lab

ATTEMPTS = [
    # what the host keeps there, before anything below leaves something of its own
    "find /run /root /home /var/tmp /tmp -mindepth 1 | grep -q .",
    # namespaces of others
    "nsenter --net=/run/netns/* true",
    "nsenter --net=/proc/1/ns/net --mount=/proc/1/ns/mnt ls {root}",
    "nsenter --target 1 --all test -e {root}/lib",
    "unshare --mount true",
    "unshare --net true",
    "unshare --user true",
    "unshare --user --map-root-user --net true",
    "unshare --pid --fork true",
    # mounts
    "mount -t bpf bpf /tmp",
    "mount -t tmpfs none /mnt",
    "mount -t proc proc /tmp",
    "mount -t sysfs sysfs /tmp",
    "mount -t cgroup2 none /tmp",
    "mount -t debugfs none /tmp",
    "mount --bind / /tmp",
    "mount -o remount,rw /",
    "mount -o remount,rw /sys",
    "mount -o remount,rw /proc/sys",
    "mount -o remount,bind,rw,dev /",
    "umount /tmp",
    "umount /run",
    "umount -l /proc/keys",
    "pivot_root / /tmp",
    # the file tree
    "touch /x",
    "touch /usr/bin/x",
    "touch /etc/x",
    "touch /etc/resolv.conf && echo nameserver 203.0.113.1 > /etc/resolv.conf",
    "echo 203.0.113.1 kubernetes.io >> /etc/hosts",
    "mv /etc/resolv.conf /etc/old",
    # devices
    "mknod /tmp/disk b 254 0",
    "mknod /tmp/mem c 1 1",
    "mknod /dev/kvm c 10 232",
    "dd if=/dev/vda of=/dev/null count=1",
    "dd if=/dev/mem of=/dev/null count=1",
    "dd if=/dev/kmsg of=/dev/null count=1",
    "test -n \"$(ls /dev | grep -vxE 'console|core|fd|full|mqueue|null|ptmx|pts|random|shm|std(in|out|err)|"
    "tty|urandom|zero')\"",
    # the kernel
    "echo '|/tmp/x' > /proc/sys/kernel/core_pattern",
    "echo /tmp/x > /proc/sys/kernel/modprobe",
    "echo b > /proc/sysrq-trigger",
    "echo 1 > /proc/sys/net/ipv4/ip_forward",
    "echo 0 > /proc/sys/kernel/kptr_restrict",
    "grep -q . /proc/kcore",
    "grep -q . /proc/kallsyms",
    "grep -q . /proc/keys",
    "modprobe loop",
    "insmod /lib/modules/*/kernel/drivers/block/loop.ko",
    "echo x > /sys/power/state",
    "echo 1 > /sys/class/net/eth0/tx_queue_len",
    "echo x > /sys/kernel/uevent_helper",
    "test -e /sys/kernel/debug/tracing",
    'test -n "$(ls /sys/fs/bpf 2>/dev/null)"',
    'test -n "$(ls /sys/firmware 2>/dev/null)"',
    "dmesg",
    "date -s 2020-01-01",
    "hostname intruder",
    "swapoff -a && swapon /x",
    "chroot /proc/1/root test -e {root}/lib",
    # cgroups
    "echo $$ > /sys/fs/cgroup/cgroup.procs",
    "echo $$ > /sys/fs/cgroup/memory/cgroup.procs",
    'test -n "$(ls /sys/fs/cgroup 2>/dev/null)"',
    "grep -q namewall /proc/self/cgroup",
    # the network
    "ip link set eth0 down",
    "ip link add x type veth",
    "ip addr add 203.0.113.9/32 dev eth0",
    "ip route add 203.0.113.0/24 dev eth0",
    "ip neigh replace 169.254.1.1 lladdr 02:00:00:00:00:01 dev eth0",
    "tc qdisc add dev eth0 clsact",
    "nft add table x",
    "iptables -A OUTPUT -j DROP",
    "bpftool prog list | grep -q .",
    "bpftool map list | grep -q .",
    # processes of others
    "strace -p 1",
    "strace true",
    "kill -0 2147483",
    "test $(ls -d /proc/[0-9]* | wc -l) -gt 9",
    # what the host keeps
    "test -s /etc/shadow",
    "cat /etc/ssh/ssh_host_*_key | grep -q PRIVATE",
    "test -e {root}",
    "test -e /var/run/docker.sock",
    "test -e /run/containerd/containerd.sock",
    "test -e /run/dbus/system_bus_socket",
    "test -e /run/systemd/private",
    "grep -rq . /var/lib/namewall",
    "grep -q {root}/lib /proc/1/environ",
]


async def test_shell_attempts(lab: Lab) -> None:
    os.makedirs(lab.instance.state_dir)
    Path(lab.instance.kubeconfig).write_text("secret")
    sandbox, _ = await lab.run("sleep", "1000")
    succeeded = []
    for attempt in ATTEMPTS:
        script = attempt.replace("{root}", lab.instance.root)
        code, said = await lab.shell(sandbox, script)
        if code == 0:
            succeeded.append((script, said))
    assert succeeded == []
    # And each of them is an attempt: what a program that is missing would have said is not the proof.
    assert await lab.shell(
        sandbox, "command -v mount umount nsenter unshare ip dd chroot mknod >/dev/null"
    ) == (0, "")


SYSCALLS = """
import ctypes, errno, os, socket, sys
libc = ctypes.CDLL(None, use_errno=True)
def call(name, number, *arguments):
    ctypes.set_errno(0)
    result = libc.syscall(number, *arguments)
    print(name, errno.errorcode.get(ctypes.get_errno(), "OK") if result < 0 else "OK")
buffer = ctypes.create_string_buffer(256)
call("ptrace", 101, 0, 0, 0, 0)
call("mount", 165, b"none", b"/tmp", b"tmpfs", 0, 0)
call("umount2", 166, b"/tmp", 2)
call("pivot_root", 155, b"/", b"/")
call("swapon", 167, b"/x", 0)
call("reboot", 169, 0, 0, 0, 0)
call("sethostname", 170, b"x", 1)
call("init_module", 175, buffer, 1, b"")
call("delete_module", 176, b"x", 0)
call("quotactl", 179, 0, 0, 0, 0)
call("kexec_load", 246, 0, 0, 0, 0)
call("add_key", 248, b"user", b"x", b"y", 1, -1)
call("request_key", 249, b"user", b"x", 0, -1)
call("keyctl", 250, 0, 0, 0, 0, 0)
call("unshare", 272, 0x10000000)
call("perf_event_open", 298, buffer, 0, -1, -1, 0)
call("fanotify_init", 300, 0, 0)
call("name_to_handle_at", 303, -100, b"/", buffer, buffer, 0)
call("open_by_handle_at", 304, 3, buffer, 0)
call("setns", 308, 0, 0)
call("process_vm_readv", 310, 1, 0, 0, 0, 0, 0)
call("kcmp", 312, 1, 1, 0, 0, 0)
call("finit_module", 313, 0, b"", 0)
call("kexec_file_load", 320, 0, 0, 0, 0, 0)
call("bpf", 321, 0, buffer, 128)
call("userfaultfd", 323, 0)
call("io_uring_setup", 425, 1, buffer)
call("open_tree", 428, -100, b"/", 1)
call("move_mount", 429, -100, b"/", -100, b"/", 0)
call("fsopen", 430, b"tmpfs", 0)
call("clone_newns", 56, 0x00020000 | 17, 0, 0, 0, 0)
call("clone_newuser", 56, 0x10000000 | 17, 0, 0, 0, 0)
call("clone_newnet", 56, 0x40000000 | 17, 0, 0, 0, 0)
call("clone3", 435, buffer, 88)
call("pidfd_getfd", 438, 0, 0, 0)
call("mount_setattr", 442, -100, b"/", 0, buffer, 32)
call("settimeofday", 164, buffer, 0)
call("acct", 163, b"/x")
call("iopl", 172, 3)
call("syslog", 103, 3, buffer, 10)
for name, family, kind in (("AF_VSOCK", 40, 1), ("AF_ALG", 38, 5), ("AF_XDP", 44, 3)):
    try:
        socket.socket(family, kind)
        print(name, "OK")
    except OSError as error:
        print(name, errno.errorcode[error.errno])
socket.socket(socket.AF_INET, socket.SOCK_RAW, 1)
socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
print("done")
"""


async def test_system_calls(lab: Lab) -> None:
    if os.uname().machine != "x86_64":
        pytest.skip("the numbers are those of x86_64")
    sandbox, _ = await lab.run("sleep", "1000")
    code, out, err = await lab.exec(sandbox, "python3", "-", stdin=SYSCALLS.encode())
    assert (code, err) == (0, "")
    lines = out.split("\n")
    assert lines[-2] == "done", "raw and ordinary sockets work"
    answers = dict(line.split() for line in lines[:-2])
    assert len(answers) > 40
    odd = {name: answer for name, answer in answers.items() if answer != "EPERM"}
    assert odd == {"clone3": "ENOSYS"} | dict.fromkeys(("AF_VSOCK", "AF_ALG", "AF_XDP"), "EAFNOSUPPORT")


async def test_capabilities_and_flags(lab: Lab) -> None:
    sandbox, _ = await lab.run("sleep", "1000")
    _, out = await lab.shell(sandbox, "cat /proc/self/status; cat /proc/1/status")
    names = (  # noqa: SIM905
        "CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE "
        "NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT "
        "SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE "
        "AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ "
        "PERFMON BPF CHECKPOINT_RESTORE"
    ).split()
    rows = [line.split(":", 1) for line in out.splitlines() if ":" in line]
    for field in ("CapEff", "CapPrm", "CapBnd"):
        for value in [int(text, 16) for name, text in rows if name == field]:
            held = {f"CAP_{names[bit]}" for bit in range(len(names)) if value >> bit & 1}
            assert held == set(CAPABILITIES), field
    assert [text.strip() for name, text in rows if name == "NoNewPrivs"] == ["1", "1"]
    assert [text.strip() for name, text in rows if name == "Seccomp"] == ["2", "2"], "a filter, in exec too"


async def test_nothing_is_inherited_from_who_starts_it(lab: Lab) -> None:
    before = os.umask(0o077)
    try:
        sandbox, _ = await lab.run("sh", "-c", "umask; env; ls -l /proc/self/fd; exec sleep 1000")
        _, out = await lab.shell(sandbox, "umask; grep -h ^Sig[BI] /proc/1/status /proc/self/status")
        _, listed = await lab.shell(sandbox, "ls /proc/1/fd /proc/self/fd")
    finally:
        os.umask(before)
    mask, *signals = out.split()
    assert mask == "0022"
    # Signals 32 and 33 are glibc's own, which its posix_spawn leaves ignored.
    assert [int(text, 16) & ~(3 << 31) for text in signals[1::2]] == [0, 0, 0, 0]
    assert listed.split() == ["/proc/1/fd:", "0", "1", "2", "/proc/self/fd:", "0", "1", "2", "3"], (
        "3 is ls's own"
    )
    lines = lab.log(sandbox).splitlines()
    assert lines[0] == "0022"
    names = {line.partition("=")[0] for line in lines if "=" in line and "->" not in line}
    assert names == {"PATH", "HOSTNAME", "HOME", "PWD"}


async def test_namespaces_are_its_own(lab: Lab) -> None:
    sandbox, _ = await lab.run("sleep", "1000")
    other, _ = await lab.run("sleep", "1000", name="other")
    for kind in ("net", "mnt", "pid", "ipc", "uts", "cgroup"):
        seen = {os.readlink(f"/proc/self/ns/{kind}")}
        for one in (sandbox, other):
            state = lab.runtime.state(one.uid, "main")
            assert state is not None
            seen.add(os.readlink(f"/proc/{state.pid}/ns/{kind}"))
        assert len(seen) == 3, kind
    assert (await lab.shell(other, "hostname; cat /etc/hostname")) == (0, "other\nother\n")


async def test_a_socket_of_the_host_cannot_be_reached_through_the_file_tree(lab: Lab) -> None:
    """Sockets outside /run and /tmp are visible as names, but lead nowhere: the overlay's inode is another."""
    with tempfile.TemporaryDirectory(prefix="nw-socket-", dir="/var/lib") as directory:
        path = f"{directory}/service.sock"
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(path)
            os.chmod(path, 0o777)
            os.chmod(directory, 0o755)
            server.listen()
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(path)
            sandbox, _ = await lab.run("sleep", "1000")
            program = f"import socket; socket.socket(socket.AF_UNIX).connect({path!r})"
            code, out = await lab.shell(
                sandbox, f"test -S {path} && python3 -c {program!r}".replace("\\'", "'")
            )
    assert code != 0
    assert "ConnectionRefusedError" in out


async def test_what_works(lab: Lab) -> None:
    """Confined is not crippled: what ordinary programs need is there."""
    sandbox, _ = await lab.run("sleep", "1000")
    for script in (
        "echo x > /tmp/x && echo x > /run/x && echo x > /var/tmp/x && echo x > $HOME/x && echo x > /dev/shm/x",
        "printf '#!/bin/sh\\necho ok' > /tmp/run && chmod +x /tmp/run && test \"$(/tmp/run)\" = ok",
        "head -c 8 /dev/urandom | wc -c | grep -qx 8 && : > /dev/null && head -c 1 /dev/zero >/dev/null",
        "ping -c 1 -w 2 127.0.0.1",
        "ping -6 -c 1 -w 2 ::1",
        "curl --version",
        'python3 -c \'import threading, subprocess, multiprocessing as m; subprocess.run(["true"], check=True);'
        " t = threading.Thread(target=print); t.start(); t.join(); m.Queue()'",
        "chown 1000:1000 /tmp/x && su -s /bin/sh nobody -c 'id -u' | grep -qx 65534 || setpriv --reuid 65534 true",
        "ulimit -n 256; nice true; timeout 1 true",
        "ps aux",
        'test "$(stat -c %a /tmp)" = 1777 && test "$(stat -c %a /root)" = 700',
    ):
        code, said = await lab.shell(sandbox, script)
        assert code == 0, (script, said)


def test_every_name_in_the_filter_is_a_system_call() -> None:
    """A misspelt name would be ignored in silence."""
    try:
        library = ctypes.CDLL("libseccomp.so.2")
    except OSError:
        pytest.skip("needs libseccomp.so.2, which runc brings")
    library.seccomp_syscall_resolve_name.argtypes = [ctypes.c_char_p]
    resolve = library.seccomp_syscall_resolve_name
    unknown = {name for name in seccomp.allowed() if resolve(name.encode()) == -1}
    # Newer than this libseccomp, or spelt for 32-bit kernels only in the kernel's own tables.
    newer = {
        "cachestat",
        "fchmodat2",
        "futex_requeue",
        "futex_wait",
        "futex_wake",
        "map_shadow_stack",
        "mseal",
    }
    assert unknown <= newer


async def test_a_fork_bomb_and_a_full_tmp_stay_inside(lab: Lab) -> None:
    sandbox, _ = await lab.run("sleep", "1000")
    code, said = await lab.shell(sandbox, "head -c 400000000 /dev/zero > /tmp/big")
    assert code != 0
    assert "No space left on device" in said
    name = f"{lab.instance.name}/{sandbox.uid}/main-0/pids.max"
    top = Path("/sys/fs/cgroup")
    limit, *_ = [*top.glob(f"*/{name}"), *top.glob(name)]
    assert limit.read_text() == "4096\n"
