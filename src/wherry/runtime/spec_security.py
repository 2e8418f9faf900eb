"""``--security-opt``: parsed, and refused in Docker's words where Docker does. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from wherry.lib.errors import InvalidArgument
from wherry.runtime.host import HostFacts

UNCONFINED = "unconfined"
BUILTIN = "builtin"

_TRUE = frozenset({"1", "t", "T", "TRUE", "true", "True"})
_FALSE = frozenset({"0", "f", "F", "FALSE", "false", "False"})


@dataclass(frozen=True, slots=True)
class Seccomp:
    """A profile to compile: JSON, or None for the built-in one."""

    profile: bytes | None = None


_BUILTIN = Seccomp()


@dataclass(frozen=True, slots=True, kw_only=True)
class SecurityOptions:
    """What the options of one container come to."""

    no_new_privileges: bool = False
    writable_cgroups: bool = False
    seccomp: str = ""
    """``unconfined``, ``builtin``, the JSON of a profile, or empty: the daemon's default."""
    apparmor: str = ""


def parse_security_options(
    options: Sequence[str] | None, host: HostFacts, *, no_new_privileges: bool = False
) -> SecurityOptions:
    """The options as values; the last of a kind holds. ``no_new_privileges`` is the daemon's default.

    SELinux labels are accepted where the machine has no SELinux, as Docker does, and an AppArmor profile only as
    ``unconfined`` or the default's name. Raises InvalidArgument.
    """
    privileges, writable, seccomp, apparmor = no_new_privileges, False, "", ""
    for option in options or ():
        if option in ("no-new-privileges", "disable"):
            privileges = privileges or option == "no-new-privileges"
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
                apparmor = _apparmor(value, host)
            case "label":
                _label(value, host)
            case _:
                raise InvalidArgument(f'invalid --security-opt 2: "{option}"')
    return SecurityOptions(no_new_privileges=privileges, writable_cgroups=writable, seccomp=seccomp, apparmor=apparmor)


def seccomp_profile(
    options: SecurityOptions, *, privileged: bool, default: Seccomp | None = _BUILTIN
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


def _apparmor(value: str, host: HostFacts) -> str:
    if value in ("", UNCONFINED) or not host.apparmor:
        return value
    raise InvalidArgument(f'AppArmor profile "{value}" is not built yet')


def _label(value: str, host: HostFacts) -> None:
    if host.selinux and value != "disable":
        raise InvalidArgument(f'SELinux label "{value}" is not built yet')
