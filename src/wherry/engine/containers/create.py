"""``docker create``: an image, a request and a name become a container that could be started."""

from __future__ import annotations

import contextlib
import os

import msgspec

from wherry.engine.containers import confinement, defaults, mount_points, mount_specs, notify, sharing
from wherry.engine.containers.context import Context, ImageFacts
from wherry.engine.containers.merge import merge, program
from wherry.engine.containers.names import check_name, draw_name
from wherry.engine.containers.record import ContainerRecord, MountRecord
from wherry.engine.containers.registry import Entry
from wherry.lib import ids
from wherry.lib.clock import now_ns
from wherry.lib.errors import InvalidArgument, NotFound
from wherry.linux.trees import remove_tree
from wherry.runtime.modes import container_of
from wherry.runtime.spec_settle import settle
from wherry.wire.container import ContainerConfig, CreateRequest, CreateResponse, EndpointSettings, HostConfig


async def create(context: Context, request: CreateRequest, *, name: str, platform: str) -> CreateResponse:
    """Make a container. Raises InvalidArgument, NotFound (image, network container), Conflict (name).

    Whatever fails, nothing half-made stays behind.
    """
    container_id = ids.new_id()
    image = context.images.resolve(_image_name(request))
    _check_platform(image, platform)
    config = merge(request.config, image.config)
    asked = defaults.complete(request.host_config or HostConfig(), context.settings.log_config)
    host, warnings = settle(config, asked, context.host, context.settings.defaults)
    host = sharing.with_label(sharing.by_id(context, host))
    mounts = mount_specs.collect(config, host, lambda key: context.registry.find(key).record.mounts)
    config = msgspec.structs.replace(
        config, hostname=defaults.hostname(config, host, container_id, context.settings.hostname)
    )
    config = _on_another_network(context, config, host)
    chosen = check_name(name) if name else draw_name(context.registry.names)
    path, args = program(config)
    labels = confinement.choose_labels(context, host)
    record = ContainerRecord(
        id=container_id,
        name=chosen,
        created_at=now_ns(),
        image_id=image.id,
        config=config,
        host_config=host,
        path=path,
        args=args,
        mounts=mounts,
        endpoints=_endpoints(request, host),
        process_label=labels.process,
        mount_label=labels.mount,
    )
    context.registry.reserve(chosen, container_id)
    try:
        entry = await _make(context, record, image)
    except BaseException:
        context.registry.release(chosen)
        raise
    notify.emit(context, entry.record, "create")
    return CreateResponse(id=container_id, warnings=[*warnings, *_unbuilt(config)])


async def _make(context: Context, record: ContainerRecord, image: ImageFacts) -> Entry:
    """The durable parts, each undone when a later one fails: directory, snapshot, volumes, record."""
    async with contextlib.AsyncExitStack() as undo:
        directory = context.settings.directory(record.id)
        os.mkdir(directory, 0o710)
        undo.callback(remove_tree, str(directory))
        await context.snapshots.prepare(record.id, image.snapshot_key)
        undo.push_async_callback(context.snapshots.remove, record.id)
        undo.push_async_callback(mount_points.release, context, record, remove_anonymous=False)
        mounts = await _provision(context, record)
        entry = await context.registry.add(msgspec.structs.replace(record, mounts=mounts))
        undo.pop_all()
    return entry


async def _provision(context: Context, record: ContainerRecord) -> list[MountRecord]:
    """The volumes, filled from the image, whose root is there for as long as that takes."""
    if not any(mount.type == "volume" for mount in record.mounts):
        return await mount_points.provision(context, record.id, record.mounts, ())
    try:
        layers = (await context.snapshots.ready(record.id)).lower
        return await mount_points.provision(context, record.id, record.mounts, layers)
    finally:
        await context.snapshots.release(record.id)


def _unbuilt(config: ContainerConfig) -> list[str]:
    """What an image may ask for and does not get yet: it runs, and the user is told."""
    watched = config.healthcheck is not None and (config.healthcheck.test or ["NONE"])[0] != "NONE"
    return ["Health checks are not built yet: nothing watches the health of this container."] if watched else []


def _image_name(request: CreateRequest) -> str:
    if not request.image:
        raise InvalidArgument("no command specified")
    return request.image


def _check_platform(image: ImageFacts, platform: str) -> None:
    """``--platform`` names what the image must be; only its operating system is compared here."""
    wanted = platform.partition("/")[0]
    if wanted and wanted != image.os:
        raise NotFound(
            f"image with reference {image.id} was found but does not provide the specified platform ({platform})"
        )


def _on_another_network(context: Context, config: ContainerConfig, host: HostConfig) -> ContainerConfig:
    """A container in another's network goes by that one's name."""
    owner = container_of(host.network_mode)
    if owner is None:
        return config
    other = context.registry.find(owner).record.config
    return msgspec.structs.replace(config, hostname=other.hostname, domainname=other.domainname)


def _endpoints(request: CreateRequest, host: HostConfig) -> dict[str, EndpointSettings]:
    """The networks asked for, by name; the network mode names the first."""
    given = (request.networking_config.endpoints_config or {}) if request.networking_config else {}
    endpoints = {
        ("bridge" if name == "default" else name): settings or EndpointSettings() for name, settings in given.items()
    }
    if container_of(host.network_mode) is None and host.network_mode not in endpoints:
        endpoints = {host.network_mode: EndpointSettings(), **endpoints}
    return endpoints if container_of(host.network_mode) is None else {}
