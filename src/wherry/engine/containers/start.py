"""``docker start``: mounts, network, spec, launch; or nothing at all."""

from __future__ import annotations

import contextlib
import signal

import msgspec

from wherry.engine.containers import exit as ending
from wherry.engine.containers import mount_points, networking, notify
from wherry.engine.containers.context import Context
from wherry.engine.containers.record import ContainerRecord, SandboxRecord
from wherry.engine.containers.registry import Entry
from wherry.engine.containers.state import Status
from wherry.lib.clock import now_ns
from wherry.lib.errors import Conflict, Internal, InvalidArgument, NotModified, WherryError
from wherry.linux.trees import remove_tree
from wherry.logs.options import json_file_options
from wherry.logs.tag import LogInfo
from wherry.runtime.devices import resolve_devices
from wherry.runtime.launcher import Shim, StartFailed
from wherry.runtime.model import JsonLog, LaunchRequest, OverlayRoot, Stdio
from wherry.runtime.modes import container_of, is_host
from wherry.runtime.spec import JoinPaths, SpecInput, build_spec, cgroup_path, seccomp_profile, wants_init
from wherry.runtime.spec_mounts import Bind, Tmpfs
from wherry.runtime.spec_process import granted
from wherry.runtime.spec_security import SecurityOptions, parse_security_options

NOT_FOUND, NOT_EXECUTABLE = 127, 126
_PREFIX = (
    "failed to create task for container: failed to create shim task: OCI runtime create failed: "
    "runc create failed: unable to start container process: "
)


async def start(context: Context, key: str) -> None:
    """Start a container. Raises NotFound, NotModified when it runs, Conflict, and what made the start fail."""
    entry = context.registry.find(key)
    async with entry.lock:
        _refuse(entry.record)
        entry.cancel_restart()
        entry.stop_requested = False
        await run(context, entry)


async def run(context: Context, entry: Entry) -> None:
    """Start ``entry``, whose lock the caller holds. After a failure nothing of the start is left."""
    try:
        async with contextlib.AsyncExitStack() as undo:
            shim = await _launch(context, entry, undo)
            undo.pop_all()
    except BaseException as error:
        await _record_failure(context, entry, error)
        raise _in_docker_words(error) from error
    entry.shim = shim
    await entry.hub.bind(shim)
    notify.emit(context, entry.record, "start")
    entry.monitor = ending.watch(context, entry, shim, run)


async def _launch(context: Context, entry: Entry, undo: contextlib.AsyncExitStack) -> Shim:
    """Everything up to the stored fact that it runs, each step with its undoing pushed before it can fail."""
    record = entry.record
    undo.push_async_callback(context.networks.leave, record.id)
    sandbox = await networking.join(context, record)
    undo.push_async_callback(mount_points.end_use, context, record)
    mounts = await mount_points.make_ready(context, record)
    request = _request(context, record, sandbox, mounts)
    undo.callback(remove_tree, str(request.bundle))
    shim = await context.launcher.launch(request, attach=entry.hub.wanted)
    undo.push_async_callback(_end, shim)
    state = record.state.running(pid=shim.pid, started_at=now_ns())
    started = msgspec.structs.replace(record, state=state, sandbox=sandbox, manually_stopped=False)
    await context.registry.update(entry, started)
    return shim


async def _end(shim: Shim) -> None:
    await shim.signal(signal.SIGKILL)
    await shim.wait()


def _refuse(record: ContainerRecord) -> None:
    status = record.state.status
    if status is Status.RUNNING:
        raise NotModified("")
    if status is Status.PAUSED:
        raise Conflict("cannot start a paused container, try unpause instead")
    if status in (Status.REMOVING, Status.DEAD):
        raise Conflict("container is marked for removal and cannot be started")


def _request(
    context: Context, record: ContainerRecord, sandbox: SandboxRecord, mounts: list[Bind | Tmpfs]
) -> LaunchRequest:
    config, host = record.config, record.host_config
    security = parse_security_options(host.security_opt, context.host)
    overlay = context.snapshots.overlay(record.id)
    spec = build_spec(
        SpecInput(
            id=record.id,
            hostname=config.hostname,
            domainname=config.domainname,
            config=config,
            host_config=host,
            cgroup_path=cgroup_path(record.id, host.cgroup_parent, context.settings.cgroup_parent),
            host=context.host,
            mounts=mounts,
            etc_files=networking.etc_files(context, record),
            join=_join_paths(context, record, sandbox),
            shm_source="/dev/shm" if is_host(host.ipc_mode) else "",  # noqa: S108 (what --ipc host means)
            devices=resolve_devices(host),
            security=security,
        )
    )
    return LaunchRequest(
        id=record.id,
        bundle=context.settings.bundle(record.id),
        spec=spec,
        root=OverlayRoot(lower=overlay.lower, upper=overlay.upper, work=overlay.work),
        stdio=Stdio(
            tty=config.tty,
            stdin=config.open_stdin,
            stdin_once=config.stdin_once,
            height=host.console_size[0],
            width=host.console_size[1],
        ),
        log=_log(context, record),
        user=config.user,
        group_add=tuple(host.group_add or ()),
        seccomp=seccomp(context, record, security),
        init=wants_init(host, default=False),
    )


def seccomp(context: Context, record: ContainerRecord, security: SecurityOptions, *, privileged: bool = False) -> bytes:
    """The compiled filter of a container's processes; empty for none. Raises InvalidArgument for a bad profile."""
    wanted = seccomp_profile(security, privileged=privileged or record.host_config.privileged)
    return b"" if wanted is None else context.seccomp.get(wanted.profile, granted(record.host_config, context.host))


def _join_paths(context: Context, record: ContainerRecord, sandbox: SandboxRecord) -> JoinPaths:
    host = record.host_config
    return JoinPaths(
        network=sandbox.netns,
        ipc=_namespace_of(context, container_of(host.ipc_mode), "ipc"),
        pid=_namespace_of(context, container_of(host.pid_mode), "pid"),
    )


def _namespace_of(context: Context, other: str | None, kind: str) -> str:
    """A namespace of another container, which must run."""
    if other is None:
        return ""
    owner = context.registry.find(other).record
    if not owner.state.alive:
        raise Conflict(f"cannot join {kind.upper()} of a non running container: {owner.id}")
    return f"/proc/{owner.state.pid}/ns/{kind}"


def _log(context: Context, record: ContainerRecord) -> JsonLog | None:
    log = record.host_config.log_config
    if log.type == "none":
        return None
    info = LogInfo(
        id=record.id,
        name=record.name,
        path=record.path,
        args=record.args,
        image_id=record.image_id,
        image_name=record.config.image,
        labels=record.config.labels or {},
        env=tuple(record.config.env or ()),
    )
    options = json_file_options(log.config or {}, info)
    return JsonLog(
        path=str(context.settings.log_path(record.id)),
        max_size=options.max_size,
        max_files=options.max_files,
        compress=options.compress,
        attrs=tuple(options.attrs.items()),
    )


async def _record_failure(context: Context, entry: Entry, error: BaseException) -> None:
    """What ``docker inspect`` will say of the start that failed; attached clients read end of file."""
    code = error.code if isinstance(error, StartFailed) else 128
    message = _in_docker_words(error)
    state = entry.record.state.failed_start(code=code, error=str(message))
    entry.hub.end()
    with contextlib.suppress(WherryError):
        await context.registry.update(entry, entry.record.with_state(state))
    if entry.record.host_config.auto_remove:
        ending.remove_later(context, entry)


def _in_docker_words(error: BaseException) -> BaseException:
    """Docker's CLI takes the exit code out of these words: 127 not found, 126 not executable."""
    if not isinstance(error, StartFailed) or error.engine:
        return error
    message = f"{_PREFIX}{error.message}: unknown"
    kind = InvalidArgument if error.code in (NOT_FOUND, NOT_EXECUTABLE) else Internal
    return kind(message)
