"""A container's network at its start: joined through the controller, or borrowed from another container."""

from __future__ import annotations

import os

from wherry.engine.containers.context import Context
from wherry.engine.containers.record import ContainerRecord, SandboxRecord
from wherry.lib.errors import Conflict
from wherry.network.model import JoinRequest, Sandbox
from wherry.runtime.modes import container_of
from wherry.runtime.spec_linux import id_maps
from wherry.runtime.spec_mounts import Bind

ETC_FILES = ("hostname", "hosts", "resolv.conf")


async def join(context: Context, record: ContainerRecord, user_namespace: str | None) -> SandboxRecord:
    """Give the container its network and write the files that tell it of it. Raises Conflict, InvalidArgument.

    ``user_namespace`` is the one that the network shall belong to, see ``JoinRequest``.
    """
    other = container_of(record.host_config.network_mode)
    if other is not None:
        return _borrow(context, record, other)
    sandbox = await context.networks.join(_request(context, record, user_namespace))
    write_etc_files(context, record, sandbox)
    return sandbox_record(sandbox)


def write_etc_files(context: Context, record: ContainerRecord, sandbox: Sandbox) -> None:
    """hostname, hosts and resolv.conf in the container's directory, in place: a running container has them mounted."""
    directory = context.settings.directory(record.id)
    owner = id_maps(record.host_config, context.settings.defaults.maps).root
    contents = (f"{record.config.hostname}\n".encode(), sandbox.hosts, sandbox.resolv_conf)
    for name, content in zip(ETC_FILES, contents, strict=True):
        fd = os.open(directory / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
        try:
            os.fchown(fd, *owner)
            os.write(fd, content)
        finally:
            os.close(fd)


def etc_files(context: Context, record: ContainerRecord) -> list[Bind]:
    """The three files as mounts; a container on another's network has that one's."""
    owner = container_of(record.host_config.network_mode)
    container_id = record.id if owner is None else context.registry.find(owner).id
    directory = context.settings.directory(container_id)
    return [Bind(source=str(directory / name), destination=f"/etc/{name}") for name in ETC_FILES]


def sandbox_record(sandbox: Sandbox) -> SandboxRecord:
    """What is kept of a sandbox."""
    return SandboxRecord(
        id=sandbox.sandbox_id,
        key=sandbox.sandbox_key,
        netns=str(sandbox.netns or ""),
        endpoints=sandbox.endpoints,
        ports=sandbox.ports,
    )


def _borrow(context: Context, record: ContainerRecord, other: str) -> SandboxRecord:
    owner = context.registry.find(other).record
    if owner.id == record.id:
        raise Conflict("cannot join own network")
    if not owner.state.alive or owner.sandbox is None:
        raise Conflict(f"cannot join network of a non running container: {owner.id}")
    return SandboxRecord(id="", key="", netns=owner.sandbox.netns)


def _request(context: Context, record: ContainerRecord, user_namespace: str | None) -> JoinRequest:
    config, host, settings = record.config, record.host_config, context.settings
    return JoinRequest(
        container_id=record.id,
        container_name=record.name,
        hostname=config.hostname,
        domainname=config.domainname,
        mode=host.network_mode,
        endpoints=record.endpoints,
        exposed_ports=tuple(config.exposed_ports or ()),
        port_bindings=host.port_bindings or {},
        publish_all=host.publish_all_ports,
        dns=tuple(host.dns or settings.dns),
        dns_search=tuple(host.dns_search or settings.dns_search),
        dns_options=tuple(host.dns_options or settings.dns_options),
        extra_hosts=tuple(host.extra_hosts or ()),
        mac_address=config.mac_address,
        user_namespace=user_namespace,
    )
