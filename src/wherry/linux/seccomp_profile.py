"""Docker's seccomp profile format: decoded, checked, and reduced to the rules for one set of capabilities.

    {"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 1,
     "archMap": [{"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86"]}],   or "architectures": […]
     "syscalls": [{"names": ["clone"], "action": "SCMP_ACT_ALLOW", "errnoRet": null,
                   "args": [{"index": 0, "value": 2114060288, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ"}],
                   "includes": {"caps": [], "arches": [], "minKernel": "4.8"}, "excludes": {…}}]}

Pure. All errors are InvalidArgument and name the place in the profile.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from typing import Any

from wherry.lib.errors import InvalidArgument
from wherry.linux.seccomp_rules import ACTIONS, EPERM, FLAGS, OPERATORS, WITH_DATA, Argument, Rule, Rules

MAX_PROFILE = 1 << 20
_NOTIFY = "SCMP_ACT_NOTIFY"


@dataclass(frozen=True, slots=True)
class Platform:
    """What ``includes`` and ``excludes`` ask about."""

    arch: str
    """Go's name of the architecture: amd64, arm64 …"""
    scmp_arch: str
    """libseccomp's: SCMP_ARCH_X86_64."""
    kernel: tuple[int, int]
    capabilities: frozenset[str] = frozenset()

    def having(self, capabilities: Collection[str]) -> Platform:
        """The same machine, seen by a process with these capabilities."""
        return replace(self, capabilities=frozenset(capabilities))


def reduce_profile(data: bytes, platform: Platform) -> Rules | None:
    """The rules that hold on ``platform``; None when the profile names neither action nor syscall: unconfined."""
    profile = _decode(data)
    calls = _list(profile, "syscalls", "profile")
    if not profile.get("defaultAction") and not calls:
        return None
    rules = []
    for number, call in enumerate(calls):
        where = f"syscalls[{number}]"
        if not isinstance(call, dict):
            raise _bad(f"{where} is not an object")
        rule = _rule(call, where)
        if _applies(call, platform, where):
            rules.append(rule)
    _check_loading(profile)
    return Rules(
        default_action=_action(profile.get("defaultAction"), profile.get("defaultErrnoRet"), "defaultAction"),
        architectures=tuple(_architectures(profile, platform)),
        rules=tuple(rules),
    )


def _bad(what: str) -> InvalidArgument:
    return InvalidArgument(f"Decoding seccomp profile failed: {what}")


def _decode(data: bytes) -> dict[str, Any]:
    if len(data) > MAX_PROFILE:
        raise _bad(f"it is larger than {MAX_PROFILE} bytes")
    try:
        profile = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise _bad(str(error)) from None
    if not isinstance(profile, dict):
        raise _bad("it is not a JSON object")
    return profile


def oci_profile(data: bytes, platform: Platform) -> dict[str, Any] | None:
    """The same as ``linux.seccomp`` of config.json, for a runtime that compiles by itself; None when unconfined."""
    if reduce_profile(data, platform) is None:
        return None
    profile = _decode(data)
    calls = [call for n, call in enumerate(profile.get("syscalls") or ()) if _applies(call, platform, f"syscalls[{n}]")]
    return {
        **{key: profile[key] for key in ("defaultAction", "defaultErrnoRet") if profile.get(key) is not None},
        "architectures": [f"SCMP_ARCH_{name.upper()}" for name in _architectures(profile, platform)],
        **_loading(profile),
        "syscalls": [_oci_call(call) for call in calls],
    }


def loading(data: bytes) -> dict[str, Any] | None:
    """Of ``oci_profile`` how a compiled filter is to be loaded; None when there is nothing special about it."""
    profile = _decode(data)
    calls = [_oci_call(call) for call in profile.get("syscalls") or () if call.get("action") == "SCMP_ACT_NOTIFY"]
    found = _loading(profile)
    return {**found, "syscalls": calls} if found or calls else None


def _loading(profile: dict[str, Any]) -> dict[str, Any]:
    keys = ("flags", "listenerPath", "listenerMetadata")
    return {key: profile[key] for key in keys if profile.get(key) is not None}


def _oci_call(call: dict[str, Any]) -> dict[str, Any]:
    names = [call["name"]] if call.get("name") else call["names"]
    errno = call.get("errnoRet") if call["action"] in WITH_DATA else None
    return {
        "names": names,
        "action": call["action"],
        **({} if errno is None else {"errnoRet": errno}),
        **({"args": call["args"]} if call.get("args") else {}),
    }


def _check_loading(profile: dict[str, Any]) -> None:
    """Flags that are known; a supervisor only where one can be: see ``seccomp``, which has runc's reasons."""
    for flag in _strings(profile, "flags", "profile"):
        if flag not in FLAGS:
            raise InvalidArgument(f"seccomp flag {flag} is not known")
    path, metadata = (profile.get(key) for key in ("listenerPath", "listenerMetadata"))
    if not all(text is None or isinstance(text, str) for text in (path, metadata)):
        raise _bad("listenerPath and listenerMetadata are not strings")
    if profile.get("defaultAction") == _NOTIFY:
        raise InvalidArgument("SCMP_ACT_NOTIFY cannot be used as default action")
    notifying = [call for call in _list(profile, "syscalls", "profile") if call.get("action") == _NOTIFY]
    if any("write" in (call.get("name"), *_list(call, "names", "syscalls")) for call in notifying):
        raise InvalidArgument("SCMP_ACT_NOTIFY cannot be used for the write syscall")
    if (notifying or metadata) and not path:
        raise InvalidArgument("listenerPath is not set")


def _architectures(profile: dict[str, Any], platform: Platform) -> Iterator[str]:
    plain, mapped = _list(profile, "architectures", "profile"), _list(profile, "archMap", "profile")
    if plain and mapped:
        raise InvalidArgument(
            "both 'architectures' and 'archMap' are specified in the seccomp profile, "
            "use either 'architectures' or 'archMap'"
        )
    for name in plain:
        yield _arch_name(name)
    for entry in mapped:
        if isinstance(entry, dict) and entry.get("architecture") == platform.scmp_arch:
            yield _arch_name(platform.scmp_arch)
            for name in _list(entry, "subArchitectures", "archMap"):
                yield _arch_name(name)
            return


def _arch_name(name: object) -> str:
    if not isinstance(name, str) or not re.fullmatch(r"SCMP_ARCH_[A-Z0-9_]{1,32}", name):
        raise _bad(f"string {name!r} is not a valid arch for seccomp")
    return name.removeprefix("SCMP_ARCH_").lower()


def _rule(call: dict[str, Any], where: str) -> Rule:
    if call.get("name") and call.get("names"):
        raise InvalidArgument(
            "both 'name' and 'names' are specified in the seccomp profile, use either 'name' or 'names'"
        )
    names = [call["name"]] if call.get("name") else _list(call, "names", where)
    if not all(isinstance(name, str) and name for name in names):
        raise _bad(f"{where}: empty string is not a valid syscall")
    arguments = tuple(_argument(item, f"{where}.args[{n}]") for n, item in enumerate(_list(call, "args", where)))
    return Rule(tuple(names), _action(call.get("action"), call.get("errnoRet"), f"{where}.action"), arguments)


def _action(name: object, data: object, where: str) -> int:
    if not isinstance(name, str) or name not in ACTIONS:
        raise _bad(f"{where}: string {name!r} is not a valid action for seccomp")
    if name not in WITH_DATA:
        return ACTIONS[name]
    return ACTIONS[name] | _integer(EPERM if data is None else data, 0xFFFF, f"errnoRet of {where}")


def _argument(item: object, where: str) -> Argument:
    if not isinstance(item, dict):
        raise _bad(f"{where} is not an object")
    operator = item.get("op")
    if not isinstance(operator, str) or operator not in OPERATORS:
        raise _bad(f"{where}: string {operator!r} is not a valid operator for seccomp")
    return Argument(
        index=_integer(item.get("index", 0), 5, f"{where}.index"),
        op=OPERATORS[operator],
        value=_integer(item.get("value", 0), 2**64 - 1, f"{where}.value"),
        value_two=_integer(item.get("valueTwo", 0), 2**64 - 1, f"{where}.valueTwo"),
    )


def _applies(call: dict[str, Any], platform: Platform, where: str) -> bool:
    excludes, includes = _filter(call, "excludes", where), _filter(call, "includes", where)
    if excludes.arches and platform.arch in excludes.arches:
        return False
    if any(name in platform.capabilities for name in excludes.caps):
        return False
    if excludes.kernel and platform.kernel >= excludes.kernel:
        return False
    if includes.arches and platform.arch not in includes.arches:
        return False
    if not all(name in platform.capabilities for name in includes.caps):
        return False
    return not includes.kernel or platform.kernel >= includes.kernel


@dataclass(frozen=True, slots=True)
class _Filter:
    caps: tuple[str, ...]
    arches: tuple[str, ...]
    kernel: tuple[int, int] | None


def _filter(call: dict[str, Any], key: str, where: str) -> _Filter:
    raw = call.get(key) or {}
    if not isinstance(raw, dict):
        raise _bad(f"{where}.{key} is not an object")
    place = f"{where}.{key}"
    kernel = None
    if text := raw.get("minKernel"):
        match = re.fullmatch(r"(\d{1,4})\.(\d{1,4})", text) if isinstance(text, str) else None
        if match is None:
            raise _bad(f'{place}: invalid kernel version: "{text}", expected "<kernel>.<major>"')
        kernel = (int(match[1]), int(match[2]))
    return _Filter(tuple(_strings(raw, "caps", place)), tuple(_strings(raw, "arches", place)), kernel)


def _list(holder: dict[str, Any], key: str, where: str) -> list[Any]:
    value = holder.get(key)
    if value is None:
        return []
    if not isinstance(value, list):
        raise _bad(f"{key} of {where} is not a list")
    return value


def _strings(holder: dict[str, Any], key: str, where: str) -> list[str]:
    values = _list(holder, key, where)
    if not all(isinstance(value, str) for value in values):
        raise _bad(f"{key} of {where} is not a list of strings")
    return values


def _integer(value: object, largest: int, where: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= largest:
        raise _bad(f"{where} is not a number from 0 to {largest}")
    return value
