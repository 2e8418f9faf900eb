"""The ``process`` object of the OCI spec, for a container's program and for an exec. Pure.

Capabilities are listed as for root. Who the user is only the container's own passwd file tells, so the runtime
resolves it and, for any uid but 0, leaves the effective and permitted sets empty, as execve(2) would.
"""

from __future__ import annotations

import os.path
from collections.abc import Iterable, Mapping, Sequence

from wherry.lib.errors import InvalidArgument
from wherry.linux import capabilities
from wherry.runtime.host import HostFacts
from wherry.wire.container import ContainerConfig, HostConfig, Ulimit
from wherry.wire.exec import ExecCreate

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

ULIMITS = frozenset(
    {
        "core",
        "cpu",
        "data",
        "fsize",
        "locks",
        "memlock",
        "msgqueue",
        "nice",
        "nofile",
        "nproc",
        "rss",
        "rtprio",
        "rttime",
    }
    | {"sigpending", "stack"}
)
_INFINITY = (1 << 64) - 1


def build_process(
    config: ContainerConfig,
    host_config: HostConfig,
    host: HostFacts,
    *,
    hostname: str,
    no_new_privileges: bool = False,
    default_ulimits: Sequence[Ulimit] = (),
) -> dict[str, object]:
    """The process of a container. Raises InvalidArgument when there is no command."""
    process: dict[str, object] = {
        "terminal": config.tty,
        "user": {"uid": 0, "gid": 0},
        "args": command(config),
        "env": environment(config.env, hostname=hostname, tty=config.tty),
        "cwd": working_directory(config.working_dir),
        "capabilities": capability_sets(granted(host_config, host)),
        "oomScoreAdj": host_config.oom_score_adj,
        "noNewPrivileges": no_new_privileges,
    }
    if limits := rlimits(host_config.ulimits or (), default_ulimits, host):
        process["rlimits"] = limits
    if host_config.console_size != (0, 0):
        process["consoleSize"] = {"height": host_config.console_size[0], "width": host_config.console_size[1]}
    return process


def exec_process(
    config: ContainerConfig,
    host_config: HostConfig,
    exec_config: ExecCreate,
    host: HostFacts,
    *,
    hostname: str,
    no_new_privileges: bool = False,
    default_ulimits: Sequence[Ulimit] = (),
) -> dict[str, object]:
    """The process of an exec: the container's, but for command, environment, directory, terminal and privileges."""
    process = build_process(
        config,
        host_config,
        host,
        hostname=hostname,
        no_new_privileges=no_new_privileges,
        default_ulimits=default_ulimits,
    )
    process.pop("consoleSize", None)
    process["terminal"] = exec_config.tty
    process["args"] = list(exec_config.cmd or ())
    base = environment(config.env, hostname=hostname, tty=exec_config.tty)
    process["env"] = override(base, exec_config.env or ())
    process["cwd"] = working_directory(exec_config.working_dir or config.working_dir)
    if exec_config.privileged:
        process["capabilities"] = capability_sets(host.capabilities)
    if exec_config.tty and exec_config.console_size:
        height, width = exec_config.console_size
        process["consoleSize"] = {"height": height, "width": width}
    return process


def command(config: ContainerConfig) -> list[str]:
    """Entry point and command as one list. Raises InvalidArgument in Docker's words when both are empty."""
    args = [*(config.entrypoint or ()), *(config.cmd or ())]
    if not args:
        raise InvalidArgument("no command specified")
    return args


def environment(env: Sequence[str] | None, *, hostname: str, tty: bool) -> list[str]:
    """Docker's defaults and over them the container's own. HOME is the runtime's to set, from the passwd file."""
    base = [f"PATH={DEFAULT_PATH}", f"HOSTNAME={hostname}", *(["TERM=xterm"] if tty else [])]
    return override(base, env or ())


def override(base: Sequence[str], changes: Iterable[str]) -> list[str]:
    """``base`` with ``NAME=value`` replaced in place or appended, and removed by a bare ``NAME``."""
    merged: list[str | None] = list(base)
    places = {entry.partition("=")[0]: place for place, entry in enumerate(base)}
    for change in changes:
        name, equals, _ = change.partition("=")
        if name in places:
            merged[places[name]] = change if equals else None
        elif equals:
            merged.append(change)
    return [entry for entry in merged if entry is not None]


def working_directory(path: str) -> str:
    """A clean absolute path, ``/`` if none is given."""
    return os.path.normpath(f"/{path.lstrip('/')}")


def granted(host_config: HostConfig, host: HostFacts) -> tuple[str, ...]:
    """The capabilities of the container. Raises InvalidArgument."""
    return capabilities.tweak(
        offered=host.capabilities,
        add=host_config.cap_add or (),
        drop=host_config.cap_drop or (),
        privileged=host_config.privileged,
    )


def capability_sets(names: Sequence[str]) -> dict[str, list[str]]:
    """Bounding, effective and permitted; never inheritable or ambient (CVE-2022-24769)."""
    return {"bounding": list(names), "effective": list(names), "permitted": list(names)}


def rlimits(asked: Sequence[Ulimit], defaults: Sequence[Ulimit], host: HostFacts) -> list[dict[str, object]]:
    """The limits asked for, then the daemon's defaults for what was not.

    A default is cut down to what the machine can give; what the user asked for stays, and the runtime fails over it.
    """
    named = {limit.name for limit in asked}
    limits = [_rlimit(limit.name, limit.soft, limit.hard) for limit in asked]
    for limit in defaults:
        if limit.name not in named:
            hard = _at_most(limit.hard, limit.name, host)
            limits.append(_rlimit(limit.name, _smaller(limit.soft, hard), hard))
    return limits


def _at_most(hard: int, name: str, host: HostFacts) -> int:
    ceiling: Mapping[str, int] = {} if "CAP_SYS_RESOURCE" in host.capabilities else host.hard_limits
    return _smaller(hard, ceiling.get(name, -1))


def _smaller(one: int, other: int) -> int:
    """The lower of two limits, where -1 is none."""
    bounded = [limit for limit in (one, other) if limit >= 0]
    return min(bounded, default=-1)


def _rlimit(name: str, soft: int, hard: int) -> dict[str, object]:
    return {
        "type": f"RLIMIT_{name.upper()}",
        "hard": _INFINITY if hard < 0 else hard,
        "soft": _INFINITY if soft < 0 else soft,
    }
