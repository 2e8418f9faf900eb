"""``docker ps``: which containers, in which order, and each as one line's worth of facts."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from wherry.engine.containers.context import Context
from wherry.engine.containers.inspect import image_size
from wherry.engine.containers.mount_points import mount_point
from wherry.engine.containers.record import ContainerRecord
from wherry.engine.containers.state import State, Status
from wherry.engine.containers.words import human_duration
from wherry.lib.clock import now_ns
from wherry.lib.errors import InvalidArgument, NotFound
from wherry.lib.filters import Filters
from wherry.wire.container import ContainerSummary, Port, SummaryHostConfig, SummaryNetworkSettings

FILTERS = (
    "ancestor",
    "before",
    "expose",
    "exited",
    "health",
    "id",
    "is-task",
    "isolation",
    "label",
    "name",
    "network",
    "publish",
    "since",
    "status",
    "volume",
)


async def list_containers(
    context: Context, *, everything: bool, limit: int, size: bool, filters: Filters
) -> list[ContainerSummary]:
    """The containers that ``filters`` let through, newest first. Raises InvalidArgument, NotFound (before, since).

    Only running ones unless ``everything``, ``limit`` or a filter on the state asks for more, as Docker does.
    """
    filters.check(FILTERS)
    condition = _Condition(context, filters)
    records = sorted((entry.record for entry in context.registry), key=lambda record: -record.created_at)
    if not (everything or limit > 0 or condition.names_a_state):
        records = [record for record in records if record.state.alive or record.state.status is Status.RESTARTING]
    chosen = [record for record in records if condition.holds(record)]
    if limit > 0:
        chosen = chosen[:limit]
    return [await _summary(context, record, size=size) for record in chosen]


class _Condition:
    """The filters of one request, checked once and then applied to each container."""

    def __init__(self, context: Context, filters: Filters) -> None:
        self._filters = filters
        self._context = context
        statuses = filters.get("status")
        for status in statuses:
            if status not in set(map(str, Status)):
                raise InvalidArgument(f"invalid filter 'status={status}'")
        self._statuses = set(statuses)
        self._codes = {_integer("exited", code) for code in filters.get("exited")}
        self.names_a_state = bool(statuses or self._codes)
        self._names = [_pattern(name) for name in filters.get("name")]
        self._ids = [_pattern(key) for key in filters.get("id")]
        self._before = self._bound("before", min)
        self._since = self._bound("since", max)
        self._ancestors = {image for name in filters.get("ancestor") for image in self._image(name)}

    def holds(self, record: ContainerRecord) -> bool:
        """Whether every filter lets the container through."""
        filters, state = self._filters, record.state
        return (
            (not self._statuses or str(state.status) in self._statuses)
            and (not self._codes or (state.exit_code in self._codes and not state.alive and state.started_at > 0))
            and (
                not self._names
                or any(pattern.search(f"/{record.name}") or pattern.search(record.name) for pattern in self._names)
            )
            and (not self._ids or any(pattern.search(record.id) for pattern in self._ids))
            and (self._before is None or record.created_at < self._before)
            and (self._since is None or record.created_at > self._since)
            and (not filters.get("ancestor") or record.image_id in self._ancestors)
            and filters.labels(record.config.labels or {})
            and self._network(record)
            and self._volume(record)
            and self._port(record)
            and (not filters.get("health") or "none" in filters.get("health"))
            and (not filters.get("is-task") or not filters.flag("is-task", default=False))
        )

    def _bound(self, name: str, choose: Callable[[Iterable[int]], int]) -> int | None:
        keys = self._filters.get(name)
        return choose(self._context.registry.find(key).record.created_at for key in keys) if keys else None

    def _image(self, name: str) -> list[str]:
        try:
            return [self._context.images.resolve(name).id]
        except (NotFound, InvalidArgument):
            return []

    def _network(self, record: ContainerRecord) -> bool:
        wanted = self._filters.get("network")
        if not wanted:
            return True
        endpoints = record.sandbox.endpoints if record.sandbox else record.endpoints
        ids = [settings.network_id for settings in endpoints.values() if settings.network_id]
        return any(name in endpoints or any(network.startswith(name) for network in ids) for name in wanted)

    def _volume(self, record: ContainerRecord) -> bool:
        wanted = self._filters.get("volume")
        places = {
            place for mount in record.mounts for place in (mount.volume, mount.source, mount.destination) if place
        }
        return not wanted or any(name in places for name in wanted)

    def _port(self, record: ContainerRecord) -> bool:
        published, exposed = self._filters.get("publish"), self._filters.get("expose")
        ports = record.sandbox.ports if record.sandbox else {}
        inside = set(record.config.exposed_ports or ())
        outside = {
            f"{binding.host_port}/{port.partition('/')[2]}" for port, bound in ports.items() for binding in bound or ()
        }
        return (not published or _any_port(published, outside)) and (not exposed or _any_port(exposed, inside))


async def _summary(context: Context, record: ContainerRecord, *, size: bool) -> ContainerSummary:
    own = await context.snapshots.usage(record.id) if size else 0
    endpoints = record.sandbox.endpoints if record.sandbox else record.endpoints
    return ContainerSummary(
        id=record.id,
        names=[f"/{record.name}"],
        image=_image_name(context, record),
        image_id=record.image_id,
        command=" ".join([record.path, *(_quoted(word) for word in record.args)]),
        created=record.created_at // 1_000_000_000,
        ports=_ports(record),
        size_rw=own,
        size_root_fs=own + image_size(context, record) if size else 0,
        labels=record.config.labels or {},
        state=str(record.state.status),
        status=status_text(record.state),
        host_config=SummaryHostConfig(network_mode=record.host_config.network_mode),
        network_settings=SummaryNetworkSettings(networks=endpoints),
        mounts=[mount_point(mount) for mount in record.mounts],
    )


def status_text(state: State) -> str:
    """The STATUS column: "Up 2 minutes (Paused)", "Exited (0) 3 seconds ago", "Created"."""
    now = now_ns()
    since_start = human_duration((now - state.started_at) / 1e9)
    since_end = human_duration((now - state.finished_at) / 1e9)
    match state.status:
        case Status.RUNNING:
            return f"Up {since_start}"
        case Status.PAUSED:
            return f"Up {since_start} (Paused)"
        case Status.RESTARTING:
            return f"Restarting ({state.exit_code}) {since_end} ago"
        case Status.REMOVING:
            return "Removal In Progress"
        case Status.DEAD:
            return "Dead"
        case Status.CREATED:
            return "Created"
        case Status.EXITED:
            return f"Exited ({state.exit_code}) {since_end} ago" if state.finished_at else ""


def _image_name(context: Context, record: ContainerRecord) -> str:
    """The name it was made from, while that still means the same image; otherwise the id."""
    name = record.config.image
    try:
        return name if context.images.resolve(name).id == record.image_id else record.image_id
    except (NotFound, InvalidArgument):
        return record.image_id


def _ports(record: ContainerRecord) -> list[Port]:
    if record.sandbox is None:
        return []
    ports = []
    for port, bindings in record.sandbox.ports.items():
        number, _, protocol = port.partition("/")
        if not bindings:
            ports.append(Port(private_port=int(number), type=protocol))
        ports += [
            Port(ip=binding.host_ip, private_port=int(number), public_port=int(binding.host_port), type=protocol)
            for binding in bindings or ()
        ]
    return ports


def _quoted(word: str) -> str:
    """An argument with spaces in quotes, as the COMMAND column shows it."""
    return f"'{word}'" if " " in word else word


def _pattern(text: str) -> re.Pattern[str]:
    try:
        return re.compile(text)
    except re.error as error:
        raise InvalidArgument(f"invalid filter: {text!r} is no regular expression: {error}") from None


def _integer(name: str, text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise InvalidArgument(f"invalid filter '{name}={text}'") from None


def _any_port(wanted: tuple[str, ...], ports: set[str]) -> bool:
    """``8080``, ``8080/udp`` or ``8000-8100/tcp`` among ``ports`` ("80/tcp")."""
    for term in wanted:
        span, _, protocol = term.partition("/")
        first, _, last = span.partition("-")
        low, high = _integer("publish", first), _integer("publish", last or first)
        if any(
            low <= int(port.partition("/")[0]) <= high and port.partition("/")[2] == (protocol or "tcp")
            for port in ports
        ):
            return True
    return False
