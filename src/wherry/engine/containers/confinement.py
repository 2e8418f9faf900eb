"""What confines a container's processes besides namespaces and limits: AppArmor's profile, SELinux' labels."""

from __future__ import annotations

import asyncio

from wherry.engine.containers.context import Context
from wherry.engine.containers.record import ContainerRecord
from wherry.lib.errors import Internal
from wherry.runtime import apparmor, selinux
from wherry.runtime.selinux import Labels
from wherry.runtime.spec_security import DEFAULT_APPARMOR, apparmor_profile, parse_security_options
from wherry.wire.container import HostConfig


def choose_labels(context: Context, host: HostConfig) -> Labels:
    """The labels of a new container, which no other has. Raises InvalidArgument, Unavailable, Internal."""
    if not context.settings.selinux:
        return Labels()
    taken = {entry.record.mount_label for entry in context.registry}
    try:
        return selinux.labels(selinux.read_policy(), parse_security_options(host.security_opt).labels, taken)
    except OSError as error:
        raise Internal(f"the SELinux policy of this machine cannot be read: {error}") from error


def labels(record: ContainerRecord) -> Labels:
    """Those that it was given when it was made."""
    return Labels(process=record.process_label, mount=record.mount_label)


def profile(context: Context, record: ContainerRecord) -> str:
    """The name of its AppArmor profile; empty where the kernel has no AppArmor."""
    host = record.host_config
    return apparmor_profile(parse_security_options(host.security_opt), context.host, privileged=host.privileged)


async def ensure_profile(context: Context, record: ContainerRecord) -> None:
    """Have the default profile loaded if it is the container's: somebody may have unloaded it. Raises Internal."""
    if profile(context, record) == DEFAULT_APPARMOR:
        await asyncio.to_thread(apparmor.ensure_default)


def confine(context: Context, record: ContainerRecord, process: dict[str, object]) -> dict[str, object]:
    """``process`` of an exec, confined as the container's own."""
    confined = dict(process)
    if name := profile(context, record):
        confined["apparmorProfile"] = name
    if record.process_label:
        confined["selinuxLabel"] = record.process_label
    return confined
