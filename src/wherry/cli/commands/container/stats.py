"""``wherry stats``: what containers use, now or continuously."""

from __future__ import annotations

import time

from wherry.cli.commands.container.live import open_connection
from wherry.cli.common import FORMAT
from wherry.cli.errors import join
from wherry.cli.flags import Command, Option
from wherry.cli.format.rows import Kind, drawn
from wherry.cli.format.text import short_id
from wherry.cli.format.units import bytes_size, human_size
from wherry.client import container
from wherry.client.errors import ClientError
from wherry.client.jsonio import loads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from wherry.cli.app import App
    from wherry.cli.flags import Parsed

    Reading = dict[str, Any]

_NOTHING = "--"
_COLUMNS = ("ID", "Name", "CPUPerc", "MemUsage", "MemPerc", "NetIO", "BlockIO", "PIDs")
_PERIOD = 0.5
_SILENCE = 2.0


class Watched:
    """One container and its latest reading."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.reading: Reading = {}
        self.valid = False
        self.done = False
        self.error: ClientError | None = None
        self.heard = time.monotonic()

    def set(self, reading: Reading) -> None:
        """Take a reading that arrived."""
        self.reading = reading
        self.valid = True
        self.heard = time.monotonic()


class _Entry:
    __slots__ = ("reading", "trunc", "valid", "watched")

    def __init__(self, watched: Watched, *, trunc: bool) -> None:
        self.watched = watched
        self.reading = watched.reading
        self.valid = watched.valid
        self.trunc = trunc


def _cpu(reading: Reading) -> float:
    now, before = reading.get("cpu_stats") or {}, reading.get("precpu_stats") or {}
    used = _total(now) - _total(before)
    system = float(now.get("system_cpu_usage") or 0) - float(before.get("system_cpu_usage") or 0)
    cpus = now.get("online_cpus") or len((now.get("cpu_usage") or {}).get("percpu_usage") or [])
    return used / system * cpus * 100.0 if system > 0 and used > 0 else 0.0


def _total(cpu: Reading) -> float:
    return float((cpu.get("cpu_usage") or {}).get("total_usage") or 0)


def _memory(reading: Reading) -> tuple[float, float]:
    """Used without the page cache that can be dropped, and the limit."""
    memory = reading.get("memory_stats") or {}
    usage, stats = memory.get("usage") or 0, memory.get("stats") or {}
    for key in ("total_inactive_file", "inactive_file"):
        if key in stats and stats[key] < usage:
            return usage - stats[key], memory.get("limit") or 0
    return usage, memory.get("limit") or 0


def _network(reading: Reading) -> str:
    networks = (reading.get("networks") or {}).values()
    received, sent = (sum(one.get(key) or 0 for one in networks) for key in ("rx_bytes", "tx_bytes"))
    return f"{human_size(received, 3)} / {human_size(sent, 3)}"


def _block(reading: Reading) -> str:
    sums = {"r": 0, "w": 0}
    for one in (reading.get("blkio_stats") or {}).get("io_service_bytes_recursive") or []:
        kind = (one.get("op") or " ")[0].lower()
        if kind in sums:
            sums[kind] += one.get("value") or 0
    return f"{human_size(sums['r'], 3)} / {human_size(sums['w'], 3)}"


def _memory_use(entry: _Entry) -> str:
    if not entry.valid:
        return "-- / --"
    used, limit = _memory(entry.reading)
    return f"{bytes_size(used)} / {bytes_size(limit)}"


def _memory_share(entry: _Entry) -> str:
    if not entry.valid:
        return _NOTHING
    used, limit = _memory(entry.reading)
    return f"{used / limit * 100.0 if limit else 0.0:.2f}%"


def _id(entry: _Entry) -> str:
    identity = entry.reading.get("id", "")
    return short_id(identity) if entry.trunc else identity


_STATS = Kind(
    "*container.statsContext",
    {
        "Container": "CONTAINER",
        "Name": "NAME",
        "ID": "CONTAINER ID",
        "CPUPerc": "CPU %",
        "MemUsage": "MEM USAGE / LIMIT",
        "MemPerc": "MEM %",
        "NetIO": "NET I/O",
        "BlockIO": "BLOCK I/O",
        "PIDs": "PIDS",
    },
    {
        "Container": lambda entry: entry.watched.name,
        "Name": lambda entry: entry.reading.get("name", "")[1:] or _NOTHING,
        "ID": _id,
        "CPUPerc": lambda entry: f"{_cpu(entry.reading):.2f}%" if entry.valid else _NOTHING,
        "MemUsage": _memory_use,
        "MemPerc": _memory_share,
        "NetIO": lambda entry: _network(entry.reading) if entry.valid else _NOTHING,
        "BlockIO": lambda entry: _block(entry.reading) if entry.valid else _NOTHING,
        "PIDs": lambda entry: (
            str((entry.reading.get("pids_stats") or {}).get("current") or 0) if entry.valid else _NOTHING
        ),
    },
)


def _run(app: App, options: Parsed) -> int:
    watched = [Watched(name) for name in options.args] or _running(app, every=options["all"])
    template = options["format"] or app.config.text("statsFormat")
    if options["no-stream"]:
        _read_once(app, watched)
        if options.args:
            join([str(one.error) for one in watched if one.error is not None])
        app.out(_text(options, watched, template))
        return 0
    from wherry.cli.commands.container.stats_live import follow

    return follow(app, options, watched, lambda: _text(options, watched, template), period=_PERIOD, silence=_SILENCE)


def _running(app: App, *, every: bool) -> list[Watched]:
    found = container.listing(app.client, {"all": "1"} if every else {})
    return [Watched(one["Id"][:12]) for one in found]


def _read_once(app: App, watched: list[Watched]) -> None:
    """Ask for all at once: a reading takes the daemon a second or two."""
    asked = []
    for one in watched:
        try:
            asked.append((one, container.stats(open_connection(app), one.name, stream=False)))
        except ClientError as error:
            one.error = error
    for one, response in asked:
        try:
            one.set(loads(response.read()))
        except (ClientError, ValueError) as error:
            one.error = error if isinstance(error, ClientError) else ClientError(str(error))


def _text(options: Parsed, watched: list[Watched], template: str) -> str:
    """What there is to see now."""
    return drawn(_STATS, [_Entry(one, trunc=not options["no-trunc"]) for one in watched], template, _COLUMNS)


STATS = Command(
    _run,
    usage="[OPTIONS] [CONTAINER...]",
    short="Display a live stream of container(s) resource usage statistics",
    options=(
        Option("all", "a", "bool", "Show all containers (default shows just running)"),
        FORMAT,
        Option("no-stream", "", "bool", "Disable streaming stats and only pull the first result"),
        Option("no-trunc", "", "bool", "Do not truncate output"),
    ),
    aliases="container stats, stats",
)
