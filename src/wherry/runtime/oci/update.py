"""``update``: other limits for a container that is there."""

from __future__ import annotations

from wherry.linux.cgroups import CgroupError
from wherry.runtime.oci import machine, spec_file, status
from wherry.runtime.oci.arguments import Call, Command, Flag, Options
from wherry.runtime.oci.errors import Failure, strerror
from wherry.runtime.oci.report import quote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Json = dict[str, Any]

# What an update can change; everything else of linux.resources is left alone.
_CHANGEABLE = {
    "blockIO": ("weight",),
    "cpu": ("shares", "quota", "burst", "period", "realtimeRuntime", "realtimePeriod", "cpus", "mems", "idle"),
    "memory": ("limit", "reservation", "swap", "checkBeforeUpdate"),
    "pids": ("limit",),
}
_NUMBERS = (
    ("cpu-period", "cpu", "period", True),
    ("cpu-rt-period", "cpu", "realtimePeriod", True),
    ("cpu-share", "cpu", "shares", True),
    ("cpu-quota", "cpu", "quota", False),
    ("cpu-rt-runtime", "cpu", "realtimeRuntime", False),
)
_SIZES = (("memory", "limit"), ("memory-swap", "swap"), ("memory-reservation", "reservation"))
_UNITS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4, "p": 5}


def _update(call: Call) -> int:
    container, cgroups = machine.load(call)
    options = call.options
    path = options.text("resources")
    wanted = only_changes(_read(path) if path else of_flags(options))
    if options.text("kernel-memory") or options.text("kernel-memory-tcp"):
        call.report.warning("Kernel memory settings are ignored and will be removed")
    if options.text("l3-cache-schema"):
        raise Failure("Intel RDT/CAT: l3 cache schema is not enabled")
    if options.text("mem-bw-schema"):
        raise Failure("Intel RDT/MBA: memory bandwidth schema is not enabled")
    with container.locked():
        container, cgroups = machine.load(call)  # another update may have been here while we waited
        if status.of(container, cgroups) == status.STOPPED:
            raise Failure("container not running")
        linux = container.config.setdefault("linux", {})
        now = linux.get("resources") or {}
        wanted = complete(wanted, now)
        try:
            cgroups.apply(container.limited_by, wanted)
        except CgroupError as error:
            raise Failure(str(error)) from error
        linux["resources"] = merge(now, wanted)
        container.save()
    return 0


def of_flags(options: Options) -> Json:
    """What the flags say, as ``linux.resources``. Raises Failure."""
    cpu: Json = {"cpus": options.text("cpuset-cpus"), "mems": options.text("cpuset-mems")}
    for flag, _, key, unsigned in _NUMBERS:
        if text := options.text(flag):
            cpu[key] = _number(flag, text, unsigned=unsigned)
    memory = {key: size(flag, options.text(flag)) for flag, key in _SIZES if options.text(flag)}
    return {
        "cpu": cpu,
        "memory": memory,
        "blockIO": {"weight": options.number("blkio-weight") & 0xFFFF},
        "pids": {"limit": options.number("pids-limit")},
    }


def only_changes(given: Json) -> Json:
    """Without what an update cannot change, and without what stays: zero, and the empty list of processors."""
    changes: Json = {}
    for group, keys in _CHANGEABLE.items():
        fields = {key: value for key, value in (given.get(group) or {}).items() if key in keys and value}
        if fields:
            changes[group] = fields
    if unified := given.get("unified"):
        changes["unified"] = unified
    return changes


def complete(wanted: Json, now: Json) -> Json:
    """Quota and period are one limit: who changes one keeps the other."""
    cpu, before = wanted.get("cpu") or {}, now.get("cpu") or {}
    if bool(cpu.get("quota")) == bool(cpu.get("period")):
        return wanted
    kept = {key: before[key] for key in ("quota", "period") if before.get(key) and not cpu.get(key)}
    return {**wanted, "cpu": {**cpu, **kept}}


def merge(now: Json, wanted: Json) -> Json:
    """``linux.resources`` afterwards."""
    merged = dict(now)
    for group, fields in wanted.items():
        merged[group] = {**(now.get(group) or {}), **fields}
    return merged


def size(flag: str, text: str) -> int:
    """``512m``, ``1.5GiB``, ``-1``: bytes (go-units, RAMInBytes). Raises Failure."""
    if text == "-1":
        return -1
    rest = text.lower().removesuffix("b").removesuffix("i")
    digits = rest.rstrip("kmgtp ")
    unit = rest[len(digits) :].removeprefix(" ")
    if unit not in _UNITS or not digits.replace(".", "", 1).isdigit() or not digits[:1].isdigit() or digits[-1] == ".":
        raise Failure(f"invalid value for {flag}: invalid size: '{text}'")
    return int(float(digits) * 1024 ** _UNITS[unit])


def _number(flag: str, text: str, *, unsigned: bool) -> int:
    digits = text if unsigned or text[:1] not in ("+", "-") else text[1:]
    if not digits.isascii() or not digits.isdigit():
        function = "ParseUint" if unsigned else "ParseInt"
        raise Failure(f"invalid value for {flag}: strconv.{function}: parsing {quote(text)}: invalid syntax")
    return int(text)


def _read(path: str) -> Json:
    if path == "-":
        with open(0, "rb", closefd=False) as file:
            return spec_file.decode(file.read(), "LinuxResources")
    try:
        return spec_file.read(path, "LinuxResources")
    except OSError as error:
        raise Failure(f"open {path}: {strerror(error)}") from error


COMMAND = Command(
    "update",
    _update,
    usage="update container resource constraints",
    arguments="<container-id>",
    flags=(
        Flag(
            "resources, r",
            """path to the file containing the resources to update or '-' to read from the standard input

The accepted format is as follow (unchanged values can be omitted):

{
  "memory": {
    "limit": 0,
    "reservation": 0,
    "swap": 0
  },
  "cpu": {
    "shares": 0,
    "quota": 0,
    "period": 0,
    "realtimeRuntime": 0,
    "realtimePeriod": 0,
    "cpus": "",
    "mems": ""
  },
  "blockIO": {
    "weight": 0
  }
}

Note: if data is to be read from a file or the standard input, all
other options are ignored.
""",
        ),
        Flag("blkio-weight", "Specifies per cgroup weight, range is from 10 to 1000", "int"),
        Flag("cpu-period", "CPU CFS period to be used for hardcapping (in usecs). 0 to use system default"),
        Flag("cpu-quota", "CPU CFS hardcap limit (in usecs). Allowed cpu time in a given period"),
        Flag("cpu-share", "CPU shares (relative weight vs. other containers)"),
        Flag("cpu-rt-period", "CPU realtime period to be used for hardcapping (in usecs). 0 to use system default"),
        Flag("cpu-rt-runtime", "CPU realtime hardcap limit (in usecs). Allowed cpu time in a given period"),
        Flag("cpuset-cpus", "CPU(s) to use"),
        Flag("cpuset-mems", "Memory node(s) to use"),
        Flag("kernel-memory", "(obsoleted; do not use)", hidden=True),
        Flag("kernel-memory-tcp", "(obsoleted; do not use)", hidden=True),
        Flag("memory", "Memory limit (in bytes)"),
        Flag("memory-reservation", "Memory reservation or soft_limit (in bytes)"),
        Flag("memory-swap", "Total memory usage (memory + swap); set '-1' to enable unlimited swap"),
        Flag("pids-limit", "Maximum number of pids allowed in the container", "int"),
        Flag("l3-cache-schema", "The string of Intel RDT/CAT L3 cache schema"),
        Flag("mem-bw-schema", "The string of Intel RDT/MBA memory bandwidth schema"),
    ),
)
