"""``docker start``: mounts, network, spec, launch; or nothing at all."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from typing import Any

import msgspec

from wherry.engine.containers import (
    confinement,
    foreign,
    mount_points,
    networking,
    notify,
    shared_memory,
    sharing,
)
from wherry.engine.containers import exit as ending
from wherry.engine.containers.context import Context
from wherry.engine.containers.record import ContainerRecord, SandboxRecord
from wherry.engine.containers.registry import Entry
from wherry.engine.containers.state import Status
from wherry.lib.clock import now_ns
from wherry.lib.errors import Conflict, Internal, InvalidArgument, NotModified, WherryError
from wherry.linux.seccomp_docker import loading
from wherry.linux.trees import remove_tree
from wherry.logs.options import json_file_options
from wherry.logs.tag import LogInfo
from wherry.runtime.cdi_edits import ContainerEdits, EditError, apply_edits
from wherry.runtime.device_requests import resolve_requests
from wherry.runtime.devices import resolve_devices
from wherry.runtime.foreign_call import with_hint
from wherry.runtime.launcher import Shim, StartFailed
from wherry.runtime.model import JsonLog, LaunchRequest, OverlayRoot, Stdio
from wherry.runtime.spec import SpecInput, build_spec, cgroup_path, seccomp_profile, wants_init
from wherry.runtime.spec_linux import id_maps
from wherry.runtime.spec_mounts import Bind, Tmpfs
from wherry.runtime.spec_process import granted
from wherry.runtime.spec_security import Seccomp, SecurityOptions, parse_security_options

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
    await confinement.ensure_profile(context, record)
    undo.push_async_callback(context.networks.leave, record.id)
    sandbox = await networking.join(context, record, sharing.user_namespace(context, record))
    undo.push_async_callback(mount_points.end_use, context, record)
    root = await _root(context, record)
    mounts = await mount_points.make_ready(context, record)
    undo.callback(shared_memory.release, context.settings.directory(record.id))
    request = _request(context, record, sandbox, mounts, await _edits(context, record), root=root)
    profile = _seccomp_profile(context, record, _security(context, record), privileged=False)
    request = await foreign.adapt(context, record, request, profile)
    undo.callback(remove_tree, str(request.bundle))
    shim = await context.launcher.launch(request, attach=entry.hub.wanted)
    undo.push_async_callback(_end, shim)
    state = record.state.running(pid=shim.pid, started_at=now_ns())
    started = msgspec.structs.replace(record, state=state, sandbox=sandbox, manually_stopped=False)
    await context.registry.update(entry, started)
    return shim


async def _root(context: Context, record: ContainerRecord) -> OverlayRoot:
    """Its snapshot, ready to be mounted."""
    maps = id_maps(record.host_config, context.settings.defaults.maps)
    overlay = await context.snapshots.ready(record.id, maps)
    return OverlayRoot(
        lower=overlay.lower, upper=overlay.upper, work=overlay.work, idmap=bool(maps) and not overlay.mapped
    )


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
    context: Context,
    record: ContainerRecord,
    sandbox: SandboxRecord,
    mounts: list[Bind | Tmpfs],
    edits: list[ContainerEdits],
    *,
    root: OverlayRoot,
) -> LaunchRequest:
    config, host = record.config, record.host_config
    defaults = context.settings.defaults
    security = _security(context, record)
    spec: dict[str, Any] = build_spec(
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
            join=sharing.join_paths(context, record, sandbox),
            shm_source=shared_memory.source(context, record),
            devices=resolve_devices(host),
            security=security,
            default_ulimits=defaults.ulimits,
            maps=id_maps(host, defaults.maps),
            labels=confinement.labels(record),
        )
    )
    if special := seccomp_loading(context, record, security):
        spec["linux"]["seccomp"] = special
    groups = _edit(spec, edits, keep={mount.destination for mount in mounts})
    return LaunchRequest(
        id=record.id,
        bundle=context.settings.bundle(record.id),
        spec=spec,
        root=root,
        stdio=Stdio(
            tty=config.tty,
            stdin=config.open_stdin,
            stdin_once=config.stdin_once,
            height=host.console_size[0],
            width=host.console_size[1],
        ),
        log=_log(context, record),
        user=config.user,
        group_add=(*(host.group_add or ()), *map(str, groups)),
        seccomp=seccomp(context, record, security),
        init=wants_init(host, default=defaults.init),
    )


def _security(context: Context, record: ContainerRecord) -> SecurityOptions:
    defaults = context.settings.defaults
    return parse_security_options(record.host_config.security_opt, no_new_privileges=defaults.no_new_privileges)


async def _edits(context: Context, record: ContainerRecord) -> list[ContainerEdits]:
    """What the devices asked for by name need. Raises InvalidArgument, Internal."""
    requests = record.host_config.device_requests
    if not requests:
        return []
    return await asyncio.to_thread(resolve_requests, requests, context.settings.cdi_spec_dirs)


def _edit(spec: dict[str, Any], edits: list[ContainerEdits], *, keep: set[str]) -> list[int]:
    try:
        return apply_edits(spec, edits, keep)
    except EditError as error:
        raise Internal(f"CDI device injection failed: failed to inject devices: {error}") from None


def seccomp(context: Context, record: ContainerRecord, security: SecurityOptions, *, privileged: bool = False) -> bytes:
    """The compiled filter of a container's processes; empty for none. Raises InvalidArgument for a bad profile."""
    wanted = _seccomp_profile(context, record, security, privileged=privileged)
    return b"" if wanted is None else context.seccomp.get(wanted.profile, granted(record.host_config, context.host))


def seccomp_loading(context: Context, record: ContainerRecord, security: SecurityOptions) -> dict[str, Any] | None:
    """How that filter is to be loaded, see ``seccomp_docker.loading``. Raises InvalidArgument."""
    wanted = _seccomp_profile(context, record, security, privileged=False)
    return None if wanted is None else loading(wanted.profile)


def _seccomp_profile(
    context: Context, record: ContainerRecord, security: SecurityOptions, *, privileged: bool
) -> Seccomp | None:
    return seccomp_profile(
        security,
        privileged=privileged or record.host_config.privileged,
        default=context.settings.defaults.seccomp,
    )


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
    if not isinstance(error, StartFailed):
        return error
    message = error.message if error.engine else with_hint(f"{_PREFIX}{error.message}: unknown")
    kind = InvalidArgument if error.code in (NOT_FOUND, NOT_EXECUTABLE) else Internal
    return kind(message)
