"""``linux.seccomp`` of config.json (runtime-spec, config-linux.md): checked, and compiled to a BPF program.

``compile_oci(seccomp, cache)`` is all of it; ``seccomp_rules.load_flags`` says how the program is to be loaded, and
``seccomp_load`` loads it. Imports os; libseccomp only for what is not in the cache.

The words are runc's: what it finds in the configuration it says as it is, what it finds when it makes the filter begins
``unable to init seccomp``.
"""

from __future__ import annotations

import os

from wherry.linux import seccomp_cache
from wherry.linux.seccomp_rules import (
    ACTIONS,
    ARCHITECTURES,
    EPERM,
    FLAGS,
    OPERATORS,
    WITH_DATA,
    Argument,
    Rule,
    Rules,
    notifies,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_FORMAT = 1
"""Goes up when this code makes other programs from the same configuration."""
_MAX_U64 = 2**64 - 1


class SeccompError(ValueError):
    """The configuration makes no sense, or no filter can be made of it."""


def compile_oci(seccomp: dict[str, Any], cache: str = "") -> bytes:
    """The program, empty when nothing is confined. ``cache`` is a directory of the caller's own for what was compiled.

    Raises SeccompError.
    """
    calls = _list(seccomp, "syscalls")
    if not seccomp.get("defaultAction") and not calls:
        return b""
    # The order of a dictionary is the file's: another order is merely another entry.
    name = seccomp_cache.key((repr(seccomp), f"oci {_FORMAT} {os.uname().machine}")) if cache else ""
    known = seccomp_cache.load(cache, name) if cache else None
    if known is not None:
        return known
    program, library = _compile(read_oci(seccomp))
    if cache:
        seccomp_cache.store(cache, name, program, library)
    return program


def read_oci(seccomp: dict[str, Any]) -> Rules:
    """The rules that it stands for. Pure; raises SeccompError."""
    for flag in _list(seccomp, "flags"):
        if not isinstance(flag, str) or flag not in FLAGS:
            raise SeccompError(f"seccomp flag {flag} is not known to wherry-oci")
    architectures = []
    for name in _list(seccomp, "architectures"):
        if name not in ARCHITECTURES:
            raise SeccompError(f"string {name} is not a valid arch for seccomp")
        architectures.append(name.removeprefix("SCMP_ARCH_").lower())
    default = _action(seccomp.get("defaultAction") or "", seccomp.get("defaultErrnoRet"), "defaultErrnoRet")
    rules = tuple(_rule(call) for call in _list(seccomp, "syscalls"))
    _check_listener(seccomp)
    return Rules(default, tuple(architectures), rules)


def _compile(rules: Rules) -> tuple[bytes, str]:
    from wherry.lib.errors import Internal, Unavailable  # noqa: PLC0415  libseccomp is not loaded for what is cached
    from wherry.linux import libseccomp  # noqa: PLC0415
    from wherry.linux.seccomp_compile import UnknownArchitecture, compile_rules  # noqa: PLC0415

    try:
        return compile_rules(rules), libseccomp.path()
    except UnknownArchitecture as error:
        raise _init(f"error adding architecture to seccomp filter: {error}") from error
    except (Internal, Unavailable) as error:
        raise _init(error.message) from error


def _check_listener(seccomp: dict[str, Any]) -> None:
    if seccomp.get("defaultAction") == "SCMP_ACT_NOTIFY":
        raise _init("SCMP_ACT_NOTIFY cannot be used as default action")
    for call in _list(seccomp, "syscalls"):
        # The descriptor's number is told by write(2), before anybody could answer for it.
        if call.get("action") == "SCMP_ACT_NOTIFY" and "write" in _list(call, "names"):
            raise _init("SCMP_ACT_NOTIFY cannot be used for the write syscall")
    if notifies(seccomp) and not seccomp.get("listenerPath"):
        raise SeccompError("seccomp listenerPath is not set")
    if seccomp.get("listenerMetadata") and not seccomp.get("listenerPath"):
        raise SeccompError("seccomp listenerMetadata is set, but listenerPath is not")


def _rule(call: object) -> Rule:
    if not isinstance(call, dict):
        raise SeccompError("an entry of linux.seccomp.syscalls is not an object")
    action = _action(call.get("action") or "", call.get("errnoRet"), "errnoRet")
    names = _list(call, "names")
    if not names:
        raise SeccompError("an entry of linux.seccomp.syscalls names no system call")
    if not all(isinstance(name, str) and name for name in names):
        raise _init("empty string is not a valid syscall")
    subject = names[0]
    return Rule(tuple(names), action, tuple(_argument(argument, subject) for argument in _list(call, "args")))


def _action(name: object, data: object, key: str) -> int:
    if not isinstance(name, str) or name not in ACTIONS:
        raise SeccompError(f"string {name} is not a valid action for seccomp")
    if name not in WITH_DATA:
        if data is not None:
            raise SeccompError(f"{key} is not supported by the seccomp action {name}")
        return ACTIONS[name]
    if data is None:
        data = EPERM
    return ACTIONS[name] | _number(data, 0xFFFF, key)


def _argument(item: object, subject: str) -> Argument:
    if not isinstance(item, dict):
        raise SeccompError("an argument of a seccomp rule is not an object")
    operator = item.get("op")
    if not isinstance(operator, str) or operator not in OPERATORS:
        raise SeccompError(f"string {operator} is not a valid operator for seccomp")
    index = _number(item.get("index", 0), _MAX_U64, "index")
    if index > 5:
        raise _init(
            f"error creating seccomp syscall condition for syscall {subject}: "
            f"syscalls only have up to 6 arguments ({index} given)"
        )
    return Argument(
        index,
        OPERATORS[operator],
        _number(item.get("value", 0), _MAX_U64, "value"),
        _number(item.get("valueTwo") or 0, _MAX_U64, "valueTwo"),
    )


def _init(text: str) -> SeccompError:
    return SeccompError(f"unable to init seccomp: {text}")


def _list(holder: dict[str, Any], key: str) -> list[Any]:
    value = holder.get(key)
    if value is None:
        return []
    if not isinstance(value, list):
        raise SeccompError(f"{key} of linux.seccomp is not a list")
    return value


def _number(value: object, largest: int, key: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= largest:
        raise SeccompError(f"{key} of linux.seccomp is not a number from 0 to {largest}")
    return value
