"""``docker inspect``: a container's record in the API's shape."""

from __future__ import annotations

from wherry.engine.containers import confinement
from wherry.engine.containers.context import Context
from wherry.engine.containers.mount_points import mount_point
from wherry.engine.containers.record import ContainerRecord
from wherry.engine.containers.state import State, Status
from wherry.lib.clock import rfc3339
from wherry.lib.errors import NotFound
from wherry.runtime.modes import container_of
from wherry.wire.container import ContainerInspect, ContainerState, EndpointSettings, GraphDriver, NetworkSettings


async def inspect(context: Context, key: str, *, size: bool) -> ContainerInspect:
    """Everything about one container; its sizes (bytes) cost a walk over its files. Raises NotFound."""
    entry = context.registry.find(key)
    record = entry.record
    own = await context.snapshots.usage(record.id) if size else None
    return ContainerInspect(
        id=record.id,
        created=rfc3339(record.created_at),
        path=record.path,
        args=record.args,
        state=container_state(record.state),
        image=record.image_id,
        resolv_conf_path=_etc_path(context, record, "resolv.conf"),
        hostname_path=_etc_path(context, record, "hostname"),
        hosts_path=_etc_path(context, record, "hosts"),
        log_path=str(context.settings.log_path(record.id)) if record.host_config.log_config.type == "json-file" else "",
        name=f"/{record.name}",
        restart_count=record.restart_count,
        driver=context.snapshots.driver,
        platform=record.platform,
        mount_label=record.mount_label,
        process_label=record.process_label,
        app_armor_profile=confinement.profile(context, record) if record.state.started_at else "",
        exec_ids=list(entry.exec_ids) or None,
        host_config=record.host_config,
        graph_driver=_graph_driver(context, record),
        size_rw=own,
        size_root_fs=None if own is None else own + image_size(context, record),
        mounts=[mount_point(mount) for mount in record.mounts],
        config=record.config,
        network_settings=network_settings(record),
    )


def image_size(context: Context, record: ContainerRecord) -> int:
    """Bytes of the image's layers; 0 once the image was removed."""
    image = context.images.get(record.image_id)
    return image.size if image is not None else 0


def container_state(state: State) -> ContainerState:
    """The state in the words and booleans of the API."""
    status = state.status
    return ContainerState(
        status=str(status),
        running=state.alive or status is Status.RESTARTING,
        paused=status is Status.PAUSED,
        restarting=status is Status.RESTARTING,
        oom_killed=state.oom_killed,
        dead=status is Status.DEAD,
        pid=state.pid,
        exit_code=state.exit_code,
        error=state.error,
        started_at=rfc3339(state.started_at),
        finished_at=rfc3339(state.finished_at),
    )


def network_settings(record: ContainerRecord) -> NetworkSettings:
    """Where it is on its networks; the flat addresses are those of the default bridge."""
    sandbox = record.sandbox
    if sandbox is None:
        return NetworkSettings(networks=record.endpoints)
    default = sandbox.endpoints.get("bridge", EndpointSettings())
    return NetworkSettings(
        sandbox_id=sandbox.id,
        sandbox_key=sandbox.key,
        ports=sandbox.ports,
        endpoint_id=default.endpoint_id,
        gateway=default.gateway,
        global_ipv6_address=default.global_ipv6_address,
        global_ipv6_prefix_len=default.global_ipv6_prefix_len,
        ip_address=default.ip_address,
        ip_prefix_len=default.ip_prefix_len,
        ipv6_gateway=default.ipv6_gateway,
        mac_address=default.mac_address,
        networks=sandbox.endpoints,
    )


def _etc_path(context: Context, record: ContainerRecord, name: str) -> str:
    """Known from the first start on, as in Docker; another container's when the network is that one's."""
    if record.state.started_at == 0:
        return ""
    owner = container_of(record.host_config.network_mode)
    try:
        container_id = record.id if owner is None else context.registry.find(owner).id
    except NotFound:
        return ""
    return str(context.settings.directory(container_id) / name)


def _graph_driver(context: Context, record: ContainerRecord) -> GraphDriver:
    try:
        overlay = context.snapshots.overlay(record.id)
    except NotFound:
        return GraphDriver(name=context.snapshots.driver)
    name = context.snapshots.driver_of(record.id)
    if not overlay.upper:
        return GraphDriver(name=name, data={"MergedDir": overlay.lower[0]} if name == "fuse-overlayfs" else None)
    data = {"LowerDir": ":".join(overlay.lower), "UpperDir": overlay.upper, "WorkDir": overlay.work}
    return GraphDriver(name=name, data=data)
