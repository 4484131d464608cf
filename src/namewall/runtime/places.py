"""Where the runtime keeps its files, below the instance's run directory (pure: names only).

    monitor.sock            requests to the monitor
    runc/                   runc's own state
    layers/                 a tmpfs with the mount points that containers need and the host lacks
    exec/                   sockets over which runc hands terminals back, for milliseconds
    pods/UID/sandbox.json   the sandbox; written last: without it the pod's directory is half made
             net ipc uts    its namespaces, each a bind mount
             files/         resolv.conf, hosts, hostname
             volumes/NAME/  a ConfigMap's files
             containers/NAME/ATTEMPT/   one run of one container (attempts count from 0, as restarts do)
                 config.json, rootfs/   the OCI bundle
                 pid                    written by runc
                 started.json, exit.json, log, log.index    written by the monitor

Files are replaced by rename, never written in place, so that every reader sees a whole one. All of it is gone
after a reboot, as the processes are. Imports nothing: the monitor, which must stay small, uses it.
"""

from __future__ import annotations


class Attempt:
    """One run of one container."""

    def __init__(self, run_dir: str, uid: str, container: str, number: int) -> None:
        self.uid = uid
        self.container = container
        self.number = number
        self.directory = f"{run_dir}/pods/{uid}/containers/{container}/{number}"
        self.id = f"{uid}-{container}-{number}"
        """Its name for runc, and in `containerID`."""

    def __repr__(self) -> str:
        return f"Attempt({self.id})"

    @property
    def config(self) -> str:
        return f"{self.directory}/config.json"

    @property
    def pid_file(self) -> str:
        return f"{self.directory}/pid"

    @property
    def started(self) -> str:
        return f"{self.directory}/started.json"

    @property
    def exit(self) -> str:
        return f"{self.directory}/exit.json"

    @property
    def log(self) -> str:
        return f"{self.directory}/log"

    @property
    def log_index(self) -> str:
        return f"{self.directory}/log.index"

    @property
    def runc_log(self) -> str:
        return f"{self.directory}/runc.log"

    @property
    def stdin(self) -> str:
        """A named pipe, there only where the container asked for `stdin`."""
        return f"{self.directory}/stdin"


def monitor_socket(run_dir: str) -> str:
    return f"{run_dir}/monitor.sock"


def runc_root(run_dir: str) -> str:
    return f"{run_dir}/runc"


def layers(run_dir: str) -> str:
    return f"{run_dir}/layers"


def pods(run_dir: str) -> str:
    return f"{run_dir}/pods"


def pod(run_dir: str, uid: str) -> str:
    return f"{run_dir}/pods/{uid}"


def containers(run_dir: str, uid: str) -> str:
    return f"{run_dir}/pods/{uid}/containers"
