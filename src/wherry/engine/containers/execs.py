"""``docker exec``: further processes in running containers. A daemon forgets them when it ends, as Docker's does."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from wherry.engine.containers import confinement, notify
from wherry.engine.containers import start as starting
from wherry.engine.containers.attachment import Hub, Session, Wanted
from wherry.engine.containers.context import Context
from wherry.engine.containers.registry import Entry
from wherry.engine.containers.state import Status
from wherry.lib import ids
from wherry.lib.errors import Conflict, InvalidArgument, NotFound
from wherry.linux.trees import remove_tree
from wherry.runtime.launcher import Shim, StartFailed
from wherry.runtime.model import ExecRequest, ExitStatus, Stdio
from wherry.runtime.spec import exec_process
from wherry.runtime.spec_linux import id_maps
from wherry.runtime.spec_security import parse_security_options
from wherry.wire.exec import ExecCreate, ExecInspect, ExecStart, ProcessConfig

KEPT_AFTER_END = 1024
"""Ended execs that can still be inspected."""
NOT_EXECUTABLE = 126
_OTHER = 128
_PREFIX = "OCI runtime exec failed: exec failed: unable to start container process: "


@dataclass(slots=True)
class Exec:
    """One exec instance."""

    id: str
    container: Entry
    config: ExecCreate
    hub: Hub = field(default_factory=Hub)
    started: bool = False
    shim: Shim | None = None
    exit_code: int | None = None
    watcher: asyncio.Task[None] | None = None

    @property
    def running(self) -> bool:
        return self.shim is not None and self.exit_code is None


class Execs:
    """The exec instances of one daemon."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._execs: dict[str, Exec] = {}
        self._ended_ids: deque[str] = deque()
        self._orphans: set[asyncio.Task[None]] = set()

    async def restore(self) -> None:
        """Processes of an earlier daemon: nobody can ask for them any more, but their directories end with them."""
        for bundle in sorted((self._context.settings.exec_root / "execs").iterdir()):
            found = await self._context.launcher.adopt(bundle)
            task = asyncio.create_task(self._collect(bundle, found), name=f"end of exec {bundle.name[:12]}")
            self._orphans.add(task)
            task.add_done_callback(self._orphans.discard)

    async def _collect(self, bundle: Path, found: Shim | ExitStatus | None) -> None:
        if isinstance(found, Shim):
            await found.wait()
        with contextlib.suppress(OSError):
            await asyncio.to_thread(remove_tree, str(bundle))

    def create(self, key: str, config: ExecCreate) -> str:
        """Describe a process to come. Raises NotFound, Conflict when the container does not run, InvalidArgument."""
        entry = self._context.registry.find(key)
        _check_running(entry, key)
        if not config.cmd:
            raise InvalidArgument("No exec command specified")
        instance = Exec(ids.new_id(), entry, config)
        self._execs[instance.id] = instance
        entry.exec_ids.append(instance.id)
        self._tell(instance, f"exec_create: {' '.join(config.cmd)}")
        return instance.id

    async def start(self, exec_id: str, options: ExecStart) -> Session | None:
        """Run it; the session is None when detached. Raises NotFound, Conflict, and what made the start fail."""
        instance = self.find(exec_id)
        if instance.started:
            raise Conflict(
                f"exec command {exec_id} has already run"
                if instance.exit_code is not None
                else f"Error: Exec command {exec_id} is already running"
            )
        _check_running(instance.container, instance.container.id)
        instance.started = True
        config = instance.config
        session = None
        if not options.detach:
            wanted = Wanted(stdin=config.attach_stdin, stdout=config.attach_stdout, stderr=config.attach_stderr)
            session = await instance.hub.open(
                wanted, tty=config.tty, stdin_once=True, on_detach=partial(self._tell, instance, "exec_detach")
            )
        self._tell(instance, f"exec_start: {' '.join(config.cmd or ())}")
        try:
            instance.shim = await self._context.launcher.exec(
                self._request(instance, options), attach=session is not None
            )
        except StartFailed as error:
            await self._failed(instance, NOT_EXECUTABLE if error.engine and error.code == _OTHER else error.code)
            words = error.message if error.engine else f"{_PREFIX}{error.message}: unknown"
            raise InvalidArgument(words) from error
        await instance.hub.bind(instance.shim)
        instance.watcher = asyncio.create_task(
            self._watch(instance, instance.shim), name=f"exit of exec {exec_id[:12]}"
        )
        return session

    def config(self, exec_id: str) -> ExecCreate:
        """What it was created with. Raises NotFound, Conflict when its container does not run."""
        instance = self.find(exec_id)
        _check_running(instance.container, instance.container.id)
        return instance.config

    def inspect(self, exec_id: str) -> ExecInspect:
        """The instance in the API's shape. Raises NotFound."""
        instance = self.find(exec_id)
        config = instance.config
        command = config.cmd or [""]
        return ExecInspect(
            id=instance.id,
            running=instance.running,
            exit_code=instance.exit_code,
            process_config=ProcessConfig(
                tty=config.tty,
                entrypoint=command[0],
                arguments=list(command[1:]),
                privileged=config.privileged,
                user=config.user,
            ),
            open_stdin=config.attach_stdin,
            open_stderr=config.attach_stderr,
            open_stdout=config.attach_stdout,
            can_remove=False,
            container_id=instance.container.id,
            detach_keys="",
            pid=instance.shim.pid if instance.shim else 0,
        )

    async def resize(self, exec_id: str, height: int, width: int) -> None:
        """The terminal's new size. Raises NotFound, Conflict when it does not run."""
        instance = self.find(exec_id)
        if instance.shim is None or not instance.running:
            raise Conflict(f"exec {exec_id} is not running")
        await instance.shim.resize(height, width)

    def find(self, exec_id: str) -> Exec:
        """One instance, by its whole id. Raises NotFound."""
        try:
            return self._execs[exec_id]
        except KeyError:
            raise NotFound(f"No such exec instance: {exec_id}") from None

    async def close(self) -> None:
        """Stop watching; the processes go on."""
        watchers = [instance.watcher for instance in self._execs.values() if instance.watcher is not None]
        watchers += self._orphans
        for watcher in watchers:
            watcher.cancel()
        await asyncio.gather(*watchers, return_exceptions=True)

    def _request(self, instance: Exec, options: ExecStart) -> ExecRequest:
        context, config, record = self._context, instance.config, instance.container.record
        defaults = context.settings.defaults
        security = parse_security_options(record.host_config.security_opt, no_new_privileges=defaults.no_new_privileges)
        height, width = options.console_size or config.console_size or (0, 0)
        return ExecRequest(
            id=instance.id,
            bundle=context.settings.exec_bundle(instance.id),
            container_pid=record.state.pid,
            container_bundle=context.settings.bundle(record.id),
            process=confinement.confine(
                context,
                record,
                exec_process(
                    record.config,
                    record.host_config,
                    config,
                    context.host,
                    hostname=record.config.hostname,
                    no_new_privileges=security.no_new_privileges,
                    default_ulimits=defaults.ulimits,
                ),
            ),
            stdio=Stdio(tty=config.tty, stdin=config.attach_stdin, stdin_once=True, height=height, width=width),
            user=config.user or record.config.user,
            group_add=tuple(record.host_config.group_add or ()),
            seccomp=starting.seccomp(context, record, security, privileged=config.privileged),
            owner=id_maps(record.host_config, defaults.maps).root,
            runtime=context.settings.runtimes.words(record.host_config.runtime),
        )

    async def _watch(self, instance: Exec, shim: Shim) -> None:
        status = await shim.wait()
        await self._ended(instance, status.code)

    async def _ended(self, instance: Exec, code: int) -> None:
        instance.exit_code = code
        self._forget(instance)
        self._tell(instance, "exec_die", exitCode=str(code))
        instance.hub.end()
        with contextlib.suppress(OSError):
            await asyncio.to_thread(remove_tree, str(self._context.settings.exec_bundle(instance.id)))

    async def _failed(self, instance: Exec, code: int) -> None:
        instance.exit_code = code
        self._forget(instance)
        instance.hub.end()
        with contextlib.suppress(OSError):
            await asyncio.to_thread(remove_tree, str(self._context.settings.exec_bundle(instance.id)))

    def _forget(self, instance: Exec) -> None:
        """An ended exec is no longer listed with its container; it can be inspected for a while."""
        if instance.id in instance.container.exec_ids:
            instance.container.exec_ids.remove(instance.id)
        self._ended_ids.append(instance.id)
        if len(self._ended_ids) > KEPT_AFTER_END:
            self._execs.pop(self._ended_ids.popleft(), None)

    def _tell(self, instance: Exec, action: str, **extra: str) -> None:
        notify.emit(self._context, instance.container.record, action, execID=instance.id, **extra)


def _check_running(entry: Entry, key: str) -> None:
    status = entry.record.state.status
    if status is Status.PAUSED:
        raise Conflict(f"Container {key} is paused, unpause the container before exec")
    if status is not Status.RUNNING:
        raise Conflict(f"container {entry.id} is not running")
