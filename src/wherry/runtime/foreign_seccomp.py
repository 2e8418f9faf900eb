"""A profile of Docker's, reduced for a container's capabilities, as ``linux.seccomp`` of config.json. Pure but for the
machine's own name: our runtime takes compiled programs instead, see ``linux.seccomp_docker``.
"""

from __future__ import annotations

import json
from collections.abc import Collection

from wherry.linux.seccomp_docker import default_profile, this_platform
from wherry.linux.seccomp_profile import Platform, reduce_profile
from wherry.linux.seccomp_rules import ACTIONS, OPERATORS, WITH_DATA, Argument, Rule

_DATA = 0xFFFF
# Of two names for one action the first, which every runtime knows.
_ACTION_NAMES = {number: name for name, number in reversed(ACTIONS.items())}
_OPERATOR_NAMES = {number: name for name, number in OPERATORS.items()}


def oci_seccomp(
    profile: bytes | None, capabilities: Collection[str], platform: Platform | None = None
) -> dict[str, object] | None:
    """``profile`` (JSON; None is the default one) for a process with ``capabilities``; None when it confines nothing.

    Raises InvalidArgument for a profile that makes no sense.
    """
    data = default_profile() if profile is None else profile
    rules = reduce_profile(data, (platform or this_platform()).having(capabilities))
    if rules is None:
        return None
    seccomp: dict[str, object] = {**_action(rules.default_action, "defaultAction", "defaultErrnoRet")}
    if rules.architectures:
        seccomp["architectures"] = [f"SCMP_ARCH_{name.upper()}" for name in rules.architectures]
    seccomp["syscalls"] = [_rule(rule) for rule in rules.rules]
    given = json.loads(data)
    for key in ("flags", "listenerPath", "listenerMetadata"):
        if given.get(key):
            seccomp[key] = given[key]
    return seccomp


def _rule(rule: Rule) -> dict[str, object]:
    call: dict[str, object] = {"names": list(rule.names), **_action(rule.action, "action", "errnoRet")}
    if rule.arguments:
        call["args"] = [_argument(argument) for argument in rule.arguments]
    return call


def _argument(argument: Argument) -> dict[str, object]:
    return {
        "index": argument.index,
        "value": argument.value,
        "valueTwo": argument.value_two,
        "op": _OPERATOR_NAMES[argument.op],
    }


def _action(action: int, name_key: str, data_key: str) -> dict[str, object]:
    name = _ACTION_NAMES[action & ~_DATA]
    return {name_key: name, data_key: action & _DATA} if name in WITH_DATA else {name_key: name}
