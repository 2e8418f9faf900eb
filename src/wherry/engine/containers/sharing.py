"""Namespaces that a container has in common with another one: whose they are, and what it must be doing for that."""

from __future__ import annotations

import msgspec

from wherry.engine.containers.context import Context
from wherry.engine.containers.record import ContainerRecord, SandboxRecord
from wherry.engine.containers.state import Status
from wherry.lib.errors import Conflict, InvalidArgument, NotFound
from wherry.runtime.modes import container_of, is_host
from wherry.runtime.netns import USER_SUFFIX
from wherry.runtime.spec_linux import JoinPaths, id_maps
from wherry.wire.container import HostConfig

_MODES = ("network_mode", "ipc_mode", "pid_mode")


def by_id(context: Context, host: HostConfig) -> HostConfig:
    """``container:<name>`` as ``container:<id>``, which stays right when that one is renamed.

    Raises InvalidArgument for a container that does not exist: a 404 would make the client pull an image.
    """
    changes = {}
    for mode in _MODES:
        other = container_of(getattr(host, mode))
        if other is not None:
            try:
                changes[mode] = f"container:{context.registry.find(other).id}"
            except NotFound as error:
                raise InvalidArgument(error.message) from None
    return msgspec.structs.replace(host, **changes)


def with_label(host: HostConfig) -> HostConfig:
    """SELinux would keep a container off what it shares with the host: Docker takes its label away, and says so."""
    options = host.security_opt or []
    shares = is_host(host.ipc_mode) or is_host(host.pid_mode) or host.privileged
    if not shares or any(option.partition("=")[0] == "label" for option in options):
        return host
    return msgspec.structs.replace(host, security_opt=[*options, "label=disable"])


def user_namespace(context: Context, record: ContainerRecord) -> str | None:
    """The user namespace to enter: a path, empty for a new one, None for the host's. Raises NotFound, Conflict.

    Who enters another's namespaces needs rights in the user namespace that they belong to, so it is entered as well; of
    two the one of ``--pid`` decides, as in Docker.
    """
    host = record.host_config
    if not id_maps(host, context.settings.defaults.maps):
        return None
    key = container_of(host.pid_mode) or container_of(host.ipc_mode) or container_of(host.network_mode)
    if key is None:
        return ""
    owner = running(context, key)
    if not id_maps(owner.host_config, context.settings.defaults.maps):
        raise Conflict(f"cannot share namespaces of container {owner.id}: it is in the host's user namespace")
    return f"/proc/{owner.state.pid}/ns/user"


def join_paths(context: Context, record: ContainerRecord, sandbox: SandboxRecord) -> JoinPaths:
    """The namespaces to enter. Raises NotFound, Conflict for a container that does not run."""
    host = record.host_config
    ipc = _owner(context, container_of(host.ipc_mode), "IPC")
    pid = _owner(context, container_of(host.pid_mode), "PID")
    user = user_namespace(context, record)
    return JoinPaths(
        network=sandbox.netns,
        ipc=f"/proc/{ipc.state.pid}/ns/ipc" if ipc else "",
        pid=f"/proc/{pid.state.pid}/ns/pid" if pid else "",
        user=f"{sandbox.netns}{USER_SUFFIX}" if user == "" and sandbox.netns else user or "",
    )


def running(context: Context, key: str) -> ContainerRecord:
    """A container whose namespaces can be entered. Raises NotFound, Conflict in Docker's words."""
    record = context.registry.find(key).record
    if record.state.status is Status.RESTARTING:
        raise Conflict(f"container {record.id} is restarting, wait until the container is running")
    if not record.state.alive:
        raise Conflict(f"container {record.id} is not running")
    return record


def _owner(context: Context, key: str | None, kind: str) -> ContainerRecord | None:
    if key is None:
        return None
    try:
        return running(context, key)
    except Conflict as error:
        raise Conflict(f"failed to join {kind} namespace: {error.message}") from None
