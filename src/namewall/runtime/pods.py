"""The pod runtime: sandboxes and containers of one instance, all state on disk.

Any number of PodRuntime objects may look at the same instance; one at a time (the agent, or `down`) changes
it. Containers are started by the monitor, signalled by pidfd, and watched by whoever cares: nothing here
must stay alive for pods to go on. Every removal is idempotent, and works on what a crash left half made.
"""

from __future__ import annotations

import asyncio
import glob
import json
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from ipaddress import ip_address
from typing import Any

from namewall.model.instance import Instance
from namewall.model.net import Address
from namewall.runtime import bundle, network, places, program, records, rootfs, syscalls, volumes
from namewall.runtime.base import ContainerState, Sandbox
from namewall.runtime.environment import ConfigError, arguments, hosts_file, variables
from namewall.runtime.places import Attempt

Object = dict[str, Any]

START_PATIENCE = 60.0
"""Seconds that the monitor may take to start a container; 50 ms is usual."""
RECORD_PATIENCE = 1.0
"""Seconds after a container's end in which a living monitor has written its record."""
KILL_PATIENCE = 20.0
"""Seconds after SIGKILL; a process in an uninterruptible wait, or one whose parent does not reap it, takes longer."""
START_FAILED = 128
"""Exit code of a container that could not start, as containerd has it; the reason is StartError."""

PROGRAM_CLASS = "namewall"
_LAST_ID = 65535

__all__ = ["ConfigError", "PodRuntime", "RuntimeFailure", "StartError", "pod_processes"]


class RuntimeFailure(Exception):
    """The host or the monitor could not do it now; it may be tried again."""


class StartError(Exception):
    """The container's command cannot be started; the text is runc's."""


class PodRuntime:
    def __init__(self, instance: Instance) -> None:
        self.instance = instance
        self.run_dir = instance.run_dir
        self._counting = threading.Lock()
        """Sandboxes are made in threads, several at a time."""

    # --- sandboxes

    async def create(self, pod: Object, addresses: Sequence[Address], resolv_conf: str) -> Sandbox:
        """Namespaces, files and a closed interface. Raises RuntimeFailure; nothing is left of a failure."""
        return await asyncio.to_thread(self._create, pod, tuple(addresses), resolv_conf)

    async def open(self, sandbox: Sandbox) -> None:
        """Let packets pass: only after the datapath has the endpoint's programs and policy. Idempotent."""
        try:
            await asyncio.to_thread(network.open_link, sandbox.ifname, sandbox.mac, sandbox.addresses)
        except (OSError, network.NetworkError) as error:
            raise RuntimeFailure(f"cannot open the pod's interface: {error}") from error

    async def remove(self, sandbox: Sandbox | str) -> None:
        """Kill what runs, and remove all traces of the pod. Takes a sandbox or a pod's uid."""
        uid = sandbox if isinstance(sandbox, str) else sandbox.uid
        running = [a for a in self._all_attempts(uid) if not os.path.exists(a.exit)]
        await asyncio.gather(*(self._kill(attempt) for attempt in running))
        for attempt in self._all_attempts(uid):
            if os.path.exists(f"{places.runc_root(self.run_dir)}/{attempt.id}"):
                await self._runc("delete", "--force", attempt.id)
        await asyncio.to_thread(self._remove_files, uid)

    async def release(self, sandbox: Sandbox) -> None:
        """For a pod whose containers have all ended for good: its network goes, logs and exit codes stay."""
        await asyncio.to_thread(self._remove_kernel_objects, sandbox.uid)

    async def remove_all(self) -> None:
        """Every pod and everything the runtime made; the run directory itself stays."""
        for uid in records.pod_uids(self.run_dir):
            await self.remove(uid)
        await asyncio.to_thread(self._remove_shared)

    def list(self) -> Sequence[Sandbox]:
        """The sandboxes whose namespaces and interface are whole. Others: `broken`."""
        return [sandbox for uid in self.uids() if (sandbox := self.sandbox(uid)) is not None]

    def uids(self) -> Sequence[str]:
        """Every pod with anything on disk."""
        return records.pod_uids(self.run_dir)

    def broken(self) -> Sequence[str]:
        """Uids of pods that were half made, or lost their namespace or link: to remove, and to make anew."""
        return [uid for uid in self.uids() if self.sandbox(uid) is None]

    def sandbox(self, uid: str) -> Sandbox | None:
        """None where there is none, or it is broken."""
        directory = places.pod(self.run_dir, uid)
        document = records.read(f"{directory}/sandbox.json")
        if document is None or not all(network.is_namespace(f"{directory}/{n}") for n in network.NAMESPACES):
            return None
        sandbox = _sandbox_from(document)
        return sandbox if network.link_index(sandbox.ifname) == sandbox.ifindex else None

    def owner(self, uid: str) -> Sandbox | None:
        """What is written of a sandbox, whole or broken."""
        document = records.read(f"{places.pod(self.run_dir, uid)}/sandbox.json")
        return _sandbox_from(document) if document else None

    # --- containers

    async def start(
        self,
        sandbox: Sandbox,
        pod: Object,
        container: Object,
        *,
        node_name: str = "",
        host_addresses: Sequence[Address] = (),
        config_map: Callable[[str], Object | None] = lambda name: None,
        attempt: int | None = None,
    ) -> ContainerState:
        """Run it (again). `config_map` finds one of the pod's namespace; `attempt` is the least number to
        use.

        Raises ConfigError (the spec refers to what is not there), StartError (recorded as exit code 128 too)
        and RuntimeFailure (no monitor).
        """
        prepared = await asyncio.to_thread(
            self._prepare, sandbox, pod, container, node_name, host_addresses, config_map, attempt or 0
        )
        request = {
            "op": "start",
            "uid": prepared.uid,
            "container": prepared.container,
            "attempt": prepared.number,
        }
        try:
            answer = await self.ask_monitor(request)
        except RuntimeFailure:
            # Nobody may find a bundle that was never started; unless the monitor died with the work half done.
            if not os.path.exists(prepared.pid_file):
                await asyncio.to_thread(shutil.rmtree, prepared.directory, True)
            raise
        if "error" in answer:
            message = f"OCI runtime create failed: {answer['error']}"
            end = {
                "exit_code": START_FAILED,
                "reason": "StartError",
                "message": message,
                "finished_at": time.time(),
            }
            records.write(prepared.exit, end, once=True)
            # Where a monitor was killed in the middle of it, runc may have gone on to the end.
            await self._runc("delete", "--force", prepared.id)
            raise StartError(message)
        state = self.state(sandbox.uid, prepared.container)
        assert state is not None, "the attempt was just made"
        return state

    def state(self, uid: str, container: str) -> ContainerState | None:
        """The latest run; None where it never ran in this sandbox."""
        found = records.attempts(self.run_dir, uid, container)
        return _state(found[-1]) if found else None

    def previous_state(self, uid: str, container: str) -> ContainerState | None:
        found = records.attempts(self.run_dir, uid, container)
        return _state(found[-2]) if len(found) > 1 else None

    def states(self, uid: str) -> dict[str, ContainerState]:
        names = records.container_names(self.run_dir, uid)
        return {name: state for name in names if (state := self.state(uid, name)) is not None}

    async def wait(self, uid: str, container: str) -> ContainerState:
        """Until the latest run has ended and its end is on record."""
        found = records.attempts(self.run_dir, uid, container)
        if not found:
            raise RuntimeFailure(f"container `{container}` never ran in this pod")
        await self._wait(found[-1])
        return _state(found[-1])

    async def stop(self, uid: str, containers: Sequence[str] | None = None, *, grace: float = 30.0) -> None:
        """SIGTERM, then SIGKILL after `grace` seconds; returns when all have ended."""
        names = records.container_names(self.run_dir, uid) if containers is None else containers
        await asyncio.gather(*(self._stop(uid, name, grace) for name in names))

    def signal(self, uid: str, container: str, number: int) -> bool:
        """False where it does not run."""
        found = records.attempts(self.run_dir, uid, container)
        return bool(found) and _signal(found[-1], number)

    def update_volumes(self, pod: Object, config_map: Callable[[str], Object | None]) -> bool:
        """Bring the files of its ConfigMaps up to date; False where they were. Raises ConfigError."""
        uid, namespace = pod["metadata"]["uid"], pod["metadata"]["namespace"]
        changed = False
        for volume in pod["spec"].get("volumes") or []:
            if "configMap" in volume:
                source = volume["configMap"]
                wanted = volumes.files(source, config_map(source.get("name") or ""), namespace)
                changed |= volumes.write(f"{places.pod(self.run_dir, uid)}/volumes/{volume['name']}", wanted)
        return changed

    # --- the monitor

    async def ask_monitor(self, request: Object) -> Object:
        """Raises RuntimeFailure where none answers."""
        try:
            async with asyncio.timeout(START_PATIENCE):
                reader, writer = await asyncio.open_unix_connection(places.monitor_socket(self.run_dir))
                try:
                    writer.write(json.dumps(request).encode() + b"\n")
                    await writer.drain()
                    line = await reader.readline()
                finally:
                    writer.close()
            answer = json.loads(line)
        except (OSError, ValueError) as error:
            raise RuntimeFailure("the monitor does not answer; `namewall up` starts it") from error
        return dict(answer)

    # --- inside

    def _create(self, pod: Object, addresses: tuple[Address, ...], resolv_conf: str) -> Sandbox:
        metadata = pod["metadata"]
        uid, name = metadata["uid"], metadata["name"]
        directory = places.pod(self.run_dir, uid)
        try:
            os.makedirs(directory, mode=0o700)
            with self._counting:
                self._mount_layers()
            number = self._next_id()
            ifname = f"{self.instance.link_prefix}{number}"
            mac, gateway_mac = network.mac_addresses(uid, ifname)
            os.mkdir(f"{directory}/files", 0o755)
            for file, text in (
                ("resolv.conf", resolv_conf),
                ("hosts", hosts_file(name, addresses)),
                ("hostname", f"{_hostname(name)}\n"),
            ):
                with open(f"{directory}/files/{file}", "w", encoding="utf-8") as stream:
                    stream.write(text)
            network.create_namespaces(directory, _hostname(name))
            ifindex = network.create_link(
                f"{directory}/net", ifname, mac, gateway_mac, addresses, network.uplink_mtu()
            )
        except (OSError, network.NetworkError) as error:
            self._remove_files(uid)
            raise RuntimeFailure(f"cannot make the pod's sandbox: {error}") from error
        sandbox = Sandbox(
            uid, number, metadata["namespace"], name, ifname, ifindex, mac, gateway_mac, tuple(addresses)
        )
        records.write(f"{directory}/sandbox.json", _sandbox_document(sandbox))
        return sandbox

    def _next_id(self) -> int:
        """The number after the last one given that is free: none comes back soon."""
        with self._counting:
            return self._count()

    def _count(self) -> int:
        path = f"{self.run_dir}/last-id.json"
        last = int((records.read(path) or {}).get("id", 0))
        for step in range(1, _LAST_ID + 1):
            number = (last + step - 1) % _LAST_ID + 1
            if network.link_index(f"{self.instance.link_prefix}{number}") is None:
                records.write(path, {"id": number})
                return number
        raise OSError("every endpoint number is in use")

    def _mount_layers(self) -> None:
        directory = places.layers(self.run_dir)
        if not os.path.ismount(directory):
            os.makedirs(directory, mode=0o700, exist_ok=True)
            flags = syscalls.MS_NOSUID | syscalls.MS_NODEV | syscalls.MS_NOEXEC
            syscalls.mount("namewall", directory, "tmpfs", flags, "mode=0711,size=16m")

    def _prepare(
        self,
        sandbox: Sandbox,
        pod: Object,
        container: Object,
        node_name: str,
        host_addresses: Sequence[Address],
        config_map: Callable[[str], Object | None],
        least: int,
    ) -> Attempt:
        """The bundle of the next attempt. Of older ones the last is kept, for its log and its end."""
        name = container["name"]
        earlier = records.attempts(self.run_dir, sandbox.uid, name)
        if earlier and not _has_begun(earlier[-1]):
            # Who asked for it was killed before the answer; the monitor may be at it.
            if os.path.exists(earlier[-1].config):
                return earlier[-1]
            shutil.rmtree(earlier[-1].directory, ignore_errors=True)
            earlier = earlier[:-1]
        self.update_volumes(pod, config_map)
        env = variables(pod, container, node_name, host_addresses, sandbox.addresses, config_map)
        words = arguments(container, env)
        directory = places.pod(self.run_dir, sandbox.uid)
        binds = [
            rootfs.Bind(f"{directory}/files/{file}", f"/etc/{file}", directory=False)
            for file in ("resolv.conf", "hosts", "hostname")
        ]
        if pod["spec"].get("runtimeClassName") == PROGRAM_CLASS:
            binds += program.binds()
        for mount in container.get("volumeMounts") or []:
            source = os.path.join(f"{directory}/volumes/{mount['name']}", mount.get("subPath") or "").rstrip(
                "/"
            )
            if not os.path.realpath(source).startswith(f"{os.path.realpath(directory)}/volumes/"):
                raise ConfigError(f"subPath `{mount.get('subPath')}` must stay inside the volume")
            if not os.path.exists(source):
                raise ConfigError(f"volumeMounts: volume `{mount['name']}` has no `{mount.get('subPath')}`")
            destination = rootfs.inside(mount["mountPath"])
            binds.append(rootfs.Bind(source, destination, directory=os.path.isdir(source)))

        number = max(least, earlier[-1].number + 1 if earlier else 0)
        attempt = Attempt(self.run_dir, sandbox.uid, name, number)
        layers = f"{places.layers(self.run_dir)}/{sandbox.uid}/{name}-{number}"
        tree = rootfs.plan(rootfs.look_at_host(), layers, self._hidden(), binds)
        for layer in tree.layers:
            rootfs.make_layer(layer)
        namespaces = bundle.Namespaces(f"{directory}/net", f"{directory}/ipc", f"{directory}/uts")
        cgroup = f"/{self.instance.name}/{sandbox.uid}/{name}-{number}"
        for old in earlier[:-1]:
            shutil.rmtree(old.directory, ignore_errors=True)
        for old in earlier:
            shutil.rmtree(
                f"{places.layers(self.run_dir)}/{sandbox.uid}/{name}-{old.number}", ignore_errors=True
            )
        os.makedirs(f"{attempt.directory}/rootfs", mode=0o700)
        if container.get("stdin"):
            os.mkfifo(attempt.stdin, 0o600)
        records.write(attempt.config, bundle.config(words, env, container, tree, namespaces, cgroup))
        return attempt

    def _hidden(self) -> Sequence[str]:
        here = self.instance
        wanted = [here.root] if here.root else [here.state_dir, here.run_dir]
        return sorted({os.path.realpath(path) for path in wanted if os.path.isdir(path)})

    def _all_attempts(self, uid: str) -> Sequence[Attempt]:
        names = records.container_names(self.run_dir, uid)
        return [attempt for name in names for attempt in records.attempts(self.run_dir, uid, name)]

    async def _stop(self, uid: str, container: str, grace: float) -> None:
        found = records.attempts(self.run_dir, uid, container)
        if not found or os.path.exists(found[-1].exit):
            return
        if grace > 0 and _signal(found[-1], signal.SIGTERM):
            with suppress(TimeoutError):
                async with asyncio.timeout(grace):
                    await self._wait(found[-1])
        await self._kill(found[-1])

    async def _kill(self, attempt: Attempt) -> None:
        if os.path.exists(attempt.exit):
            return
        if _signal(attempt, signal.SIGKILL) or os.path.exists(attempt.started):
            try:
                async with asyncio.timeout(KILL_PATIENCE):
                    await self._wait(attempt)
            except TimeoutError:
                raise RuntimeFailure(f"container `{attempt.container}` does not end after SIGKILL") from None
        elif os.path.exists(f"{places.runc_root(self.run_dir)}/{attempt.id}"):
            await self._runc("delete", "--force", attempt.id)

    async def _wait(self, attempt: Attempt) -> None:
        if os.path.exists(attempt.exit):
            return
        started = records.read(attempt.started)
        if started is None:
            raise RuntimeFailure(f"container `{attempt.container}` was not started")
        status: int | None = None
        if records.is_alive(started):
            with suppress(ProcessLookupError):
                pidfd = os.pidfd_open(started["pid"])
                try:
                    if records.is_alive(started):
                        await _readable(pidfd)
                    status = syscalls.exit_status(pidfd)
                finally:
                    os.close(pidfd)
        deadline = time.monotonic() + RECORD_PATIENCE
        while not os.path.exists(attempt.exit) and time.monotonic() < deadline:
            await asyncio.sleep(0.005)
        if os.path.exists(attempt.exit) or not os.path.isdir(attempt.directory):
            return
        # No monitor saw it: what is known is written for all who ask later.
        end: Object = {"exit_code": records.LOST_EXIT_CODE, "reason": records.LOST_REASON}
        if status is not None:
            code = os.waitstatus_to_exitcode(status)
            end = {"exit_code": code if code >= 0 else 128 - code}
        records.write(attempt.exit, {**end, "finished_at": time.time()}, once=True)
        await self._runc("delete", "--force", attempt.id)

    async def _runc(self, *arguments: str) -> None:
        """For clean-up only: what fails is tried by another way, or was done already."""
        process = await asyncio.create_subprocess_exec(
            "runc",
            "--root",
            places.runc_root(self.run_dir),
            *arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        await process.wait()

    def _remove_files(self, uid: str) -> None:
        self._remove_kernel_objects(uid)
        shutil.rmtree(places.pod(self.run_dir, uid), ignore_errors=True)

    def _remove_kernel_objects(self, uid: str) -> None:
        directory = places.pod(self.run_dir, uid)
        owner = self.owner(uid)
        if owner is not None:
            # Before its namespace, whose end would remove it at a time of the kernel's choice.
            network.remove_link(owner.ifname)
        network.remove_namespaces(directory)
        _remove_cgroups(f"{self.instance.name}/{uid}")
        shutil.rmtree(f"{places.layers(self.run_dir)}/{uid}", ignore_errors=True)

    def _remove_shared(self) -> None:
        layers = places.layers(self.run_dir)
        if os.path.ismount(layers):
            syscalls.umount(layers)
        for path in (layers, places.runc_root(self.run_dir)):
            shutil.rmtree(path, ignore_errors=True)
        _remove_cgroups(self.instance.name)


def pod_processes(instance: Instance) -> list[Object]:
    """What `namewall status -o json` says of the pods."""
    runtime = PodRuntime(instance)
    rows = []
    for uid in runtime.uids():
        owner = runtime.owner(uid)
        if owner is None:
            continue
        rows.append(
            {
                "namespace": owner.namespace,
                "name": owner.name,
                "uid": uid,
                "interface": owner.ifname,
                "addresses": [str(address) for address in owner.addresses],
                "networkNamespace": f"{places.pod(instance.run_dir, uid)}/net",
                "containers": [
                    {"name": name, "pid": state.pid, "restarts": state.attempt}
                    for name, state in runtime.states(uid).items()
                ],
            }
        )
    return rows


def _state(attempt: Attempt) -> ContainerState:
    started = records.read(attempt.started) or {}
    end = records.read(attempt.exit)
    return ContainerState(
        name=attempt.container,
        id=attempt.id,
        pid=None if end else started.get("pid"),
        started_at=started.get("started_at"),
        exit_code=end["exit_code"] if end else None,
        finished_at=end["finished_at"] if end else None,
        reason=(end.get("reason") or ("Error" if end["exit_code"] else "Completed")) if end else "",
        message=end.get("message", "") if end else "",
        attempt=attempt.number,
    )


def _has_begun(attempt: Attempt) -> bool:
    return any(os.path.exists(path) for path in (attempt.pid_file, attempt.started, attempt.exit))


def _signal(attempt: Attempt, number: int) -> bool:
    started = records.read(attempt.started)
    if started is None or os.path.exists(attempt.exit):
        return False
    try:
        pidfd = os.pidfd_open(started["pid"])
    except (OSError, ValueError):
        return False
    try:
        if not records.is_alive(started):
            return False
        signal.pidfd_send_signal(pidfd, number)
    except ProcessLookupError:
        return False
    finally:
        os.close(pidfd)
    return True


async def _readable(fd: int) -> None:
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()

    def wake() -> None:
        if not ready.done():
            ready.set_result(None)

    loop.add_reader(fd, wake)
    try:
        await ready
    finally:
        loop.remove_reader(fd)


def _remove_cgroups(name: str) -> None:
    """The directory `name` in every hierarchy, v1 and v2, with what is below it."""
    for pattern in (f"/sys/fs/cgroup/{name}", f"/sys/fs/cgroup/*/{name}"):
        for top in glob.glob(pattern):
            for folder, _, _ in os.walk(top, topdown=False):
                with suppress(OSError):
                    os.rmdir(folder)


def _hostname(name: str) -> str:
    """The kernel's limit is 64 bytes; Kubernetes cuts at 63."""
    return name[:63].rstrip("-.")


def _sandbox_document(sandbox: Sandbox) -> Object:
    return {
        "uid": sandbox.uid,
        "id": sandbox.id,
        "namespace": sandbox.namespace,
        "name": sandbox.name,
        "ifname": sandbox.ifname,
        "ifindex": sandbox.ifindex,
        "mac": sandbox.mac.hex(":"),
        "gateway_mac": sandbox.gateway_mac.hex(":"),
        "addresses": [str(address) for address in sandbox.addresses],
    }


def _sandbox_from(document: Object) -> Sandbox:
    return Sandbox(
        **{key: document[key] for key in ("uid", "id", "namespace", "name", "ifname", "ifindex")},
        mac=bytes.fromhex(document["mac"].replace(":", "")),
        gateway_mac=bytes.fromhex(document["gateway_mac"].replace(":", "")),
        addresses=tuple(ip_address(address) for address in document["addresses"]),
    )
