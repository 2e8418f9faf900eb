"""Reading the counters of cgroup v2."""

from __future__ import annotations

from collections.abc import Iterator

from wherry.linux.cgroups import files
from wherry.linux.cgroups.base import Cgroups
from wherry.linux.cgroups.files import CgroupError
from wherry.linux.cgroups.stats import UNLIMITED, BlockCounter, CgroupStats, flat, number


def read_v2(cgroups: Cgroups, path: str) -> CgroupStats:
    """The counters of a group; those of a controller that is not enabled are 0. Raises CgroupError when it is gone."""
    directory = cgroups.hierarchies[0].at(path)
    if not cgroups.exists(path):
        raise CgroupError(f"cgroup {path} does not exist")

    def text(name: str) -> str:
        return files.read_or(f"{directory}/{name}")

    cpu = flat(text("cpu.stat"))
    events = flat(text("memory.events"))
    limit = number(text("pids.max"))
    devices = text("io.stat")
    return CgroupStats(
        cpu_total=cpu.get("usage_usec", 0) * 1000,
        cpu_user=cpu.get("user_usec", 0) * 1000,
        cpu_system=cpu.get("system_usec", 0) * 1000,
        periods=cpu.get("nr_periods", 0),
        throttled_periods=cpu.get("nr_throttled", 0),
        throttled_time=cpu.get("throttled_usec", 0) * 1000,
        memory_usage=number(text("memory.current")),
        memory_peak=number(text("memory.peak")),
        memory_limit=number(text("memory.max"), UNLIMITED),
        memory_failures=events.get("oom", 0),
        memory=flat(text("memory.stat")),
        pids=number(text("pids.current")),
        pids_limit=0 if limit == UNLIMITED else limit,
        block_bytes=tuple(_counters(devices, {"rbytes": "read", "wbytes": "write"})),
        block_operations=tuple(_counters(devices, {"rios": "read", "wios": "write"})),
    )


def _counters(content: str, names: dict[str, str]) -> Iterator[BlockCounter]:
    """``8:0 rbytes=1 wbytes=2 rios=3 …`` lines."""
    for line in content.splitlines():
        device, *fields = line.split()
        major, colon, minor = device.partition(":")
        values = dict(field.split("=", 1) for field in fields if "=" in field)
        for key, op in names.items():
            if colon and values.get(key, "").isdigit():
                yield BlockCounter(int(major), int(minor), op, int(values[key]))
