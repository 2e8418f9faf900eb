"""OCI resources as properties of a systemd unit. Pure; imports nothing but its room.

systemd rewrites a unit's control files whenever it is told to reload: what it can express has to be told to it, or it
takes it back. The rest is written to the files alone (``systemd``). Names and units: systemd.resource-control(5); the
choice is runc's. A property is (name, (D-Bus signature, value)).
"""

from __future__ import annotations

from wherry.linux.cgroups.device_rules import ANY, merge
from wherry.linux.cgroups.files import LimitError
from wherry.linux.cgroups.v2_resources import PERIOD, cpu_weight, swap_alone, unified

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    Property = tuple[str, tuple[str, Any]]

INFINITY = (1 << 64) - 1
_LARGEST_CPU = 8191
_SIZES = {
    "memory.high": "MemoryHigh",
    "memory.low": "MemoryLow",
    "memory.min": "MemoryMin",
    "memory.max": "MemoryMax",
    "memory.swap.max": "MemorySwapMax",
    "pids.max": "TasksMax",
    "cpu.weight": "CPUWeight",
}
_SETS = {"cpuset.cpus": "AllowedCPUs", "cpuset.mems": "AllowedMemoryNodes"}
_PERIOD_SINCE, _SETS_SINCE = 242, 244


def unit_properties(unit: str, parent: str, pid: int | None, *, version: int) -> list[Property]:
    """What a new unit is: a scope with a process, whose groups below are the container's own; or a slice."""
    name = unit.rpartition(".")[0]
    properties: list[Property] = [("Description", ("s", f"wherry container {name}"))]
    if unit.endswith(".slice"):
        properties.append(("Wants", ("as", [parent])))
    else:
        properties += [("Slice", ("s", parent)), ("Delegate", ("b", True))]
    if pid is not None:
        properties.append(("PIDs", ("au", [pid])))
    # Counting from the start on: the memory controller does not count what was there before it.
    io = "IOAccounting" if version == 2 else "BlockIOAccounting"
    counted = ("MemoryAccounting", "CPUAccounting", io, "TasksAccounting")
    properties += [(kind, ("b", True)) for kind in counted]
    properties.append(("DefaultDependencies", ("b", False)))
    return properties


def properties_v1(resources: Mapping[str, Any], systemd: int) -> list[Property]:
    """The limits on v1; ``systemd`` is its version. Raises LimitError."""
    memory, cpu = resources.get("memory") or {}, resources.get("cpu") or {}
    properties: list[Property] = []
    if limit := memory.get("limit"):
        properties.append(("MemoryLimit", ("t", _unsigned(limit))))
    if shares := cpu.get("shares"):
        properties.append(("CPUShares", ("t", shares)))
    properties += _bandwidth(cpu.get("quota"), cpu.get("period"), systemd)
    if weight := (resources.get("blockIO") or {}).get("weight"):
        properties.append(("BlockIOWeight", ("t", weight)))
    return [*properties, *_tasks(resources), *_cpuset(cpu, systemd)]


def properties_v2(resources: Mapping[str, Any], systemd: int) -> list[Property]:
    """The limits on v2. Raises LimitError."""
    memory, cpu = resources.get("memory") or {}, resources.get("cpu") or {}
    properties: list[Property] = []
    for key, name in (("limit", "MemoryMax"), ("reservation", "MemoryLow")):
        if value := memory.get(key):
            properties.append((name, ("t", _unsigned(value))))
    if swap := swap_alone(memory.get("limit"), memory.get("swap")):
        properties.append(("MemorySwapMax", ("t", _size("memory.swap.max", swap))))
    if shares := cpu.get("shares"):
        properties.append(("CPUWeight", ("t", cpu_weight(shares))))
    properties += _bandwidth(cpu.get("quota"), cpu.get("period"), systemd)
    properties += [*_tasks(resources), *_cpuset(cpu, systemd)]
    for _, name, value in unified(resources.get("unified") or {}):
        properties += _raw(name, value.strip(), systemd)
    return properties


def device_properties(
    rules: Sequence[Mapping[str, Any]], groups: Mapping[tuple[str, int], str], exists: Callable[[str], bool]
) -> list[Property]:
    """The device rules as far as systemd can have them: it knows what is allowed, by path or group of devices.

    ``groups`` is ``devices_groups`` of /proc/devices; ``exists`` tells whether a path is there. What is left out is
    allowed by the rules themselves, which are set after systemd's.
    """
    merged = merge(rules)
    if merged.allows_all:
        return [("DevicePolicy", ("s", "auto")), ("DeviceAllow", ("a(ss)", []))]
    properties: list[Property] = [("DevicePolicy", ("s", "strict")), ("DeviceAllow", ("a(ss)", []))]
    if merged.allow:
        return properties
    entries = []
    for (kind, major, minor), access in merged.sorted():
        word = "block" if kind == "b" else "char"
        if major == ANY:
            path = f"{word}-*" if minor == ANY else ""
        elif minor == ANY:
            group = groups.get((kind, major))
            path = f"{word}-{group}" if group else ""
        else:
            path = f"/dev/{word}/{major}:{minor}"
            if not exists(path) and not exists(f"/sys{path}"):
                path = ""
        if path:
            entries.append((path, access))
    return [*properties, ("DeviceAllow", ("a(ss)", entries))]


def devices_groups(text: str) -> dict[tuple[str, int], str]:
    """/proc/devices: (kind, major) → the name of the driver's devices."""
    found: dict[tuple[str, int], str] = {}
    kind = ""
    for line in text.splitlines():
        number, _, name = line.strip().partition(" ")
        if line.endswith(":"):
            kind = "b" if line.startswith("Block") else "c"
        elif number.isdigit():
            found.setdefault((kind, int(number)), name)
    return found


def cpu_bits(ranges: str) -> bytes:
    """``1,3-5`` as the bit mask that systemd takes, lowest byte first. Raises ValueError."""
    mask = 0
    for part in filter(None, (part.strip() for part in ranges.split(","))):
        first, _, last = part.partition("-")
        low, high = int(first), int(last or first)
        if not 0 <= low <= high <= _LARGEST_CPU:
            raise ValueError(f"invalid range: {part}")
        for number in range(low, high + 1):
            mask |= 1 << number
    if not mask:
        raise ValueError("empty value")
    return mask.to_bytes(-(-mask.bit_length() // 8), "little")


def _bandwidth(quota: int | None, period: int | None, systemd: int) -> list[Property]:
    if not quota and not period:
        return []
    properties: list[Property] = []
    if period and systemd >= _PERIOD_SINCE:
        properties.append(("CPUQuotaPeriodUSec", ("t", period)))
    share = INFINITY
    if quota and quota > 0:
        # systemd counts in whole per cents of a CPU: up, so that the file below can have what is asked for.
        share = -(-quota * 1_000_000 // (period or PERIOD) // 10_000) * 10_000
    return [*properties, ("CPUQuotaPerSecUSec", ("t", share))]


def _tasks(resources: Mapping[str, Any]) -> list[Property]:
    limit = (resources.get("pids") or {}).get("limit")
    return [("TasksMax", ("t", _unsigned(limit)))] if limit else []


def _cpuset(cpu: Mapping[str, Any], systemd: int) -> list[Property]:
    properties: list[Property] = []
    for key, name, label in (("cpus", "AllowedCPUs", "Cpus"), ("mems", "AllowedMemoryNodes", "Mems")):
        if (ranges := cpu.get(key)) and systemd >= _SETS_SINCE:
            try:
                properties.append((name, ("ay", cpu_bits(ranges))))
            except ValueError as error:
                raise LimitError(f'resources.CPU.{label}="{ranges}" conversion error: {error}') from None
    return properties


def _raw(name: str, value: str, systemd: int) -> list[Property]:
    """A raw setting of v2; what systemd has no word for is written to the file alone."""
    if name == "cpu.max":
        quota, _, period = value.partition(" ")
        try:
            return _bandwidth(0 if quota == "max" else int(quota), int(period or PERIOD), systemd)
        except ValueError:
            raise LimitError(f'unified resource "{name}" value invalid: "{value}"') from None
    if name in _SETS:
        try:
            return [(_SETS[name], ("ay", cpu_bits(value)))] if systemd >= _SETS_SINCE else []
        except ValueError as error:
            raise LimitError(f'unified resource "{name}"="{value}" conversion error: {error}') from None
    return [(_SIZES[name], ("t", _size(name, value)))] if name in _SIZES else []


def _size(name: str, value: str) -> int:
    if value == "max":
        return INFINITY
    try:
        return _unsigned(int(value))
    except ValueError as error:
        raise LimitError(f'unified resource "{name}" value conversion error: {error}') from None


def _unsigned(value: int) -> int:
    return INFINITY if value < 0 else value
