"""The seccomp filter of containers: an allow-list, as container engines have it (pure).

What is not listed fails with EPERM (runc answers ENOSYS for calls newer than every listed one, so that
libraries fall back). Left out on purpose is all that changes or leaves namespaces, mounts, kernel code, keys,
clocks, swap, quotas, other processes' memory, and io_uring, whose operations a filter does not see. clone3
fails with ENOSYS, because its flags lie behind a pointer: libraries then use clone, whose flags are judged.
"""

from __future__ import annotations

from typing import Any

_FILES = """
access chdir chmod chown chown32 close close_range copy_file_range creat dup dup2 dup3 faccessat faccessat2
fadvise64 fadvise64_64 fallocate fchdir fchmod fchmodat fchmodat2 fchown fchown32 fchownat fcntl fcntl64
fdatasync fgetxattr flistxattr flock fremovexattr fsetxattr fstat fstat64 fstatat64 fstatfs fstatfs64 fsync
ftruncate ftruncate64 futimesat getcwd getdents getdents64 getxattr inotify_add_watch inotify_init
inotify_init1 inotify_rm_watch fanotify_mark ioctl lchown lchown32 lgetxattr link linkat listxattr
llistxattr _llseek lremovexattr lseek lsetxattr lstat lstat64 memfd_create mkdir mkdirat mknod mknodat
newfstatat open openat openat2 pread64 preadv preadv2 pwrite64 pwritev pwritev2 read readahead readlink
readlinkat readv removexattr rename renameat renameat2 rmdir sendfile sendfile64 setxattr splice stat stat64
statfs statfs64 statx symlink symlinkat sync sync_file_range syncfs tee truncate truncate64 umask unlink
unlinkat utime utimensat utimensat_time64 utimes vmsplice write writev pipe pipe2 cachestat
"""
_PROCESSES = """
alarm arch_prctl capget capset chroot execve execveat exit exit_group fork futex futex_time64 futex_waitv
futex_wake futex_wait futex_requeue get_robust_list get_thread_area getcpu getegid getegid32 geteuid
geteuid32 getgid getgid32 getgroups getgroups32 getitimer getpgid getpgrp getpid getppid getpriority
getrandom getresgid getresgid32 getresuid getresuid32 getrlimit getrusage getsid gettid getuid getuid32
ioprio_get ioprio_set kill membarrier nanosleep pause pidfd_open pidfd_send_signal prctl prlimit64
restart_syscall rseq rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend
rt_sigtimedwait rt_sigtimedwait_time64 rt_tgsigqueueinfo sched_get_priority_max sched_get_priority_min
sched_getaffinity sched_getattr sched_getparam sched_getscheduler sched_rr_get_interval
sched_rr_get_interval_time64 sched_setaffinity sched_setattr sched_setparam sched_setscheduler sched_yield
seccomp set_robust_list set_thread_area set_tid_address setfsgid setfsgid32 setfsuid setfsuid32 setgid
setgid32 setgroups setgroups32 setitimer setpgid setpriority setregid setregid32 setresgid setresgid32
setresuid setresuid32 setreuid setreuid32 setrlimit setsid setuid setuid32 sigaltstack signal sigprocmask
sigreturn sysinfo tgkill time timer_create timer_delete timer_getoverrun timer_gettime timer_gettime64
timer_settime timer_settime64 times tkill ugetrlimit uname vfork wait4 waitid waitpid landlock_add_rule
landlock_create_ruleset landlock_restrict_self
"""
_MEMORY = """
brk madvise map_shadow_stack mincore mlock mlock2 mlockall mmap mmap2 mprotect mremap mseal msync munlock
munlockall munmap pkey_alloc pkey_free pkey_mprotect process_mrelease remap_file_pages
"""
_CLOCKS_AND_WAITING = """
clock_getres clock_getres_time64 clock_gettime clock_gettime64 clock_nanosleep clock_nanosleep_time64
epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2 epoll_wait epoll_wait_old
eventfd eventfd2 gettimeofday poll ppoll ppoll_time64 pselect6 pselect6_time64 select _newselect signalfd
signalfd4 timerfd_create timerfd_gettime timerfd_gettime64 timerfd_settime timerfd_settime64 io_cancel
io_destroy io_getevents io_pgetevents io_pgetevents_time64 io_setup io_submit
"""
_SOCKETS_AND_IPC = """
accept accept4 bind connect getpeername getsockname getsockopt listen recv recvfrom recvmmsg recvmmsg_time64
recvmsg send sendmmsg sendmsg sendto setsockopt shutdown socketpair ipc mq_getsetattr mq_notify mq_open
mq_timedreceive mq_timedreceive_time64 mq_timedsend mq_timedsend_time64 mq_unlink msgctl msgget msgrcv
msgsnd semctl semget semop semtimedop semtimedop_time64 shmat shmctl shmdt shmget
"""

_CLONE_NEW_NAMESPACES = 0x7E02_0000
_FIRST_REFUSED_FAMILY = 38
"""AF_ALG; above it lie AF_VSOCK (reaches the hypervisor past every policy) and AF_XDP."""
_PERSONALITIES = (0x0, 0x8, 0x20000, 0x20008, 0xFFFF_FFFF)
_EPERM, _ENOSYS, _EAFNOSUPPORT = 1, 38, 97


def allowed() -> list[str]:
    groups = (_FILES, _PROCESSES, _MEMORY, _CLOCKS_AND_WAITING, _SOCKETS_AND_IPC)
    return sorted(name for group in groups for name in group.split())


def profile() -> dict[str, Any]:
    """The `linux.seccomp` object of an OCI config. Only the machine's own ABI: no 32-bit calls."""

    def rule(names: list[str], *args: dict[str, int | str], errno: int | None = None) -> dict[str, Any]:
        row: dict[str, Any] = {"names": names, "action": "SCMP_ACT_ALLOW", "args": list(args)}
        if errno is not None:
            row |= {"action": "SCMP_ACT_ERRNO", "errnoRet": errno}
        return row

    def first_argument(operator: str, value: int, value_two: int = 0) -> dict[str, int | str]:
        return {"index": 0, "value": value, "valueTwo": value_two, "op": f"SCMP_CMP_{operator}"}

    return {
        "defaultAction": "SCMP_ACT_ERRNO",
        "defaultErrnoRet": _EPERM,
        "syscalls": [
            rule(allowed()),
            rule(["clone"], first_argument("MASKED_EQ", _CLONE_NEW_NAMESPACES, 0)),
            rule(["clone3"], errno=_ENOSYS),
            rule(["socket"], first_argument("LT", _FIRST_REFUSED_FAMILY)),
            rule(["socket"], first_argument("GE", _FIRST_REFUSED_FAMILY), errno=_EAFNOSUPPORT),
            *(rule(["personality"], first_argument("EQ", value)) for value in _PERSONALITIES),
        ],
    }
