"""Containers of another OCI runtime than ours, ``--runtime``: their start, and what a cgroup of their own would do."""

from __future__ import annotations

import asyncio
import contextlib
import os
from dataclasses import replace
from pathlib import Path

from wherry.engine.containers.context import Context
from wherry.engine.containers.record import ContainerRecord
from wherry.lib.errors import Internal
from wherry.linux.cgroups.detect import parse_mountinfo
from wherry.runtime import foreign_command
from wherry.runtime.foreign_registry import find_init
from wherry.runtime.foreign_seccomp import oci_seccomp
from wherry.runtime.foreign_spec import RECURSIVE_READ_ONLY, complete_spec, uses
from wherry.runtime.model import LaunchRequest
from wherry.runtime.spec_process import granted
from wherry.runtime.spec_security import Seccomp


async def adapt(
    context: Context, record: ContainerRecord, request: LaunchRequest, profile: Seccomp | None
) -> LaunchRequest:
    """``request`` for the container's own runtime; as it is when that is ours.

    Raises InvalidArgument for a runtime that the daemon does not know any more, and for a bad profile.
    """
    words = context.settings.runtimes.words(record.host_config.runtime)
    if not words:
        return request
    options = await foreign_command.mount_options(words) if uses(request.spec, RECURSIVE_READ_ONLY) else ()
    spec = complete_spec(
        request.spec,
        seccomp=None if profile is None else oci_seccomp(profile.profile, granted(record.host_config, context.host)),
        init=find_init() if request.init else "",
        mount_options=options,
    )
    return replace(request, spec=spec, seccomp=b"", init=False, runtime=words)


async def freeze(context: Context, record: ContainerRecord, path: str) -> None:
    """Stop every process of a running container. Raises CgroupError, Internal."""
    if _elsewhere(context, record, path):
        await _call(context, record, "pause")
    else:
        await asyncio.to_thread(context.cgroups.freeze, path)


async def thaw(context: Context, record: ContainerRecord, path: str) -> None:
    """Let them run again. Raises CgroupError, Internal."""
    if _elsewhere(context, record, path):
        await _call(context, record, "resume")
    else:
        await asyncio.to_thread(context.cgroups.thaw, path)


def drop_parent(context: Context) -> None:
    """Remove what other runtimes have made in trees that we leave alone: v2 beside v1, where runc makes groups too."""
    parent = context.settings.cgroup_parent
    known = {tree.mountpoint for tree in context.cgroups.hierarchies}
    for tree in parse_mountinfo(Path("/proc/self/mountinfo").read_text()) if parent else ():
        if tree.mountpoint not in known:
            with contextlib.suppress(OSError):  # it is not there, or another's, or not empty
                os.rmdir(tree.at(parent))


def _elsewhere(context: Context, record: ContainerRecord, path: str) -> bool:
    """Whether a runtime keeps the container's processes somewhere that we do not know, in a virtual machine say."""
    return bool(context.settings.runtimes.words(record.host_config.runtime)) and not context.cgroups.exists(path)


async def _call(context: Context, record: ContainerRecord, verb: str) -> None:
    try:
        await foreign_command.call(context.settings.bundle(record.id), verb)
    except OSError as error:
        raise Internal(f"Cannot {verb} container {record.id}: {error}") from error
