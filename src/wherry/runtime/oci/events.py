"""``events``: what the container uses, once or again and again, and when the kernel kills for lack of memory."""

from __future__ import annotations

import os
import select
import time

from wherry.linux.cgroups import CgroupError
from wherry.runtime.oci import gojson, machine, output, status
from wherry.runtime.oci.arguments import Call, Command, Flag
from wherry.runtime.oci.errors import Failure
from wherry.runtime.oci.usage import usage

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wherry.linux.cgroups import Cgroups
    from wherry.runtime.oci.store import Container

_SECOND = 1_000_000_000
_LOOK_FOR = 1.0
_LOOK_PAUSE = 0.01
"""Seconds: v1 tells that memory has run out, and kills, and counts, a moment later."""


def _events(call: Call) -> int:
    container, cgroups = machine.load(call)
    interval = call.options.number("interval") / _SECOND
    if interval <= 0:
        raise Failure("duration interval must be greater than 0")
    if status.of(container, cgroups) == status.STOPPED:
        raise Failure(f"container with id {container.id} is not running")
    if call.options.flag("stats"):
        _print_usage(container, cgroups)
    else:
        _follow(call, container, cgroups, interval)
    return 0


def _print_usage(container: Container, cgroups: Cgroups) -> None:
    try:
        data = usage(cgroups, container.limited_by)
    except CgroupError as error:
        raise Failure(f"unable to get container cgroup stats: {error}") from error
    output.out(gojson.encode({"type": "stats", "id": container.id, "data": data}) + "\n")


def _follow(call: Call, container: Container, cgroups: Cgroups, interval: float) -> None:
    init = status.open_init(container)
    if init is None:
        return
    try:
        watch = cgroups.oom_events(container.limited_by)
    except CgroupError as error:
        raise Failure(str(error)) from error
    poller = select.poll()
    poller.register(init, select.POLLIN)
    poller.register(watch, select.POLLIN)
    killed, due, look_until = cgroups.oom_count(container.cgroup), time.monotonic() + interval, 0.0
    while True:
        now = time.monotonic()
        pause = max(0.0, due - now)
        ready = [fd for fd, _ in poller.poll(min(pause, _LOOK_PAUSE if now < look_until else pause) * 1000)]
        if watch in ready:
            os.read(watch, 4096)
            look_until = time.monotonic() + _LOOK_FOR
        if ready or time.monotonic() < look_until:
            count = cgroups.oom_count(container.cgroup)
            for _ in range(count - killed):
                output.out(gojson.encode({"type": "oom", "id": container.id}) + "\n")
            killed = max(killed, count)
        if init in ready:
            return
        if time.monotonic() >= due:
            due += interval
            try:
                _print_usage(container, cgroups)
            except Failure as error:
                call.report.error(str(error))


COMMAND = Command(
    "events",
    _events,
    usage="display container events such as OOM notifications, cpu, memory, and IO usage statistics",
    arguments="""<container-id>

Where "<container-id>" is the name for the instance of the container.""",
    description="""The events command displays information about the container. By default the
information is displayed once every 5 seconds.""",
    flags=(
        Flag("interval", "set the stats collection interval", "duration", 5 * _SECOND),
        Flag("stats", "display the container's stats then exit", "bool"),
    ),
)
