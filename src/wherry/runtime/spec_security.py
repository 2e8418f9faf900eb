"""``--security-opt``: parsed, and refused in Docker's words where Docker does. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from wherry.lib.errors import InvalidArgument
from wherry.runtime.host import HostFacts

UNCONFINED = "unconfined"
BUILTIN = "builtin"
DEFAULT_APPARMOR = "docker-default"
"""The profile's name in Docker, so that what an administrator wrote for it holds."""

_TRUE = frozenset({"1", "t", "T", "TRUE", "true", "True"})
_FALSE = frozenset({"0", "f", "F", "FALSE", "false", "False"})


@dataclass(frozen=True, slots=True)
class Seccomp:
    """A profile to compile: JSON, or None for the built-in one."""

    profile: bytes | None = None


BUILTIN_SECCOMP = Seccomp()


@dataclass(frozen=True, slots=True, kw_only=True)
class SecurityOptions:
    """What the options of one container come to."""

    no_new_privileges: bool = False
    writable_cgroups: bool | None = None
    """None is by privilege."""
    seccomp: str = ""
    """``unconfined``, ``builtin``, the JSON of a profile, or empty: the daemon's default."""
    apparmor: str = ""
    """A profile's name; empty is by privilege."""
    labels: tuple[str, ...] = ()
    """What follows ``label=``, for ``selinux``; without SELinux nobody looks at it, as in Docker."""


def parse_security_options(options: Sequence[str] | None, *, no_new_privileges: bool = False) -> SecurityOptions:
    """The options as values; the last of a kind holds. ``no_new_privileges`` is the daemon's default.

    Raises InvalidArgument.
    """
    privileges, seccomp, apparmor = no_new_privileges, "", ""
    writable: bool | None = None
    labels: list[str] = []
    for option in options or ():
        match option:
            case "no-new-privileges":
                privileges = True
                continue
            case "writable-cgroups":
                writable = True
                continue
            case "disable":
                labels.append(option)
                continue
        name, value = _split(option)
        match name:
            case "no-new-privileges":
                privileges = _boolean(option, value)
            case "writable-cgroups":
                writable = _boolean(option, value)
            case "seccomp":
                seccomp = value
            case "apparmor":
                apparmor = value
            case "label":
                labels.append(value)
            case _:
                raise InvalidArgument(f'invalid --security-opt 2: "{option}"')
    return SecurityOptions(
        no_new_privileges=privileges,
        writable_cgroups=writable,
        seccomp=seccomp,
        apparmor=apparmor,
        labels=tuple(labels),
    )


def seccomp_profile(
    options: SecurityOptions, *, privileged: bool, default: Seccomp | None = BUILTIN_SECCOMP
) -> Seccomp | None:
    """The profile that confines the container, None for no confinement.

    ``default`` is the daemon's. A privileged container is confined only by a profile that was asked for.
    """
    if options.seccomp == UNCONFINED:
        return None
    if options.seccomp == BUILTIN:
        return Seccomp()
    if options.seccomp:
        return Seccomp(options.seccomp.encode())
    return None if privileged else default


def apparmor_profile(options: SecurityOptions, host: HostFacts, *, privileged: bool) -> str:
    """The AppArmor profile of the container's processes; empty where the kernel has none.

    Docker ignores the option on such a machine, and so do we.
    """
    if not host.apparmor:
        return ""
    return options.apparmor or (UNCONFINED if privileged else DEFAULT_APPARMOR)


def _split(option: str) -> tuple[str, str]:
    """``name=value``, or ``name:value`` as it was written long ago."""
    for separator in ("=", ":"):
        name, found, value = option.partition(separator)
        if found:
            return name, value
    raise InvalidArgument(f'invalid --security-opt 1: "{option}"')


def _boolean(option: str, value: str) -> bool:
    if value in _TRUE or value in _FALSE:
        return value in _TRUE
    raise InvalidArgument(f'invalid --security-opt 2: "{option}"')
