"""Docker's profile format: what applies to whom, and what is no profile."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherry.lib.errors import InvalidArgument
from wherry.linux.seccomp_docker import default_profile
from wherry.linux.seccomp_profile import Platform, loading, oci_profile, reduce_profile

AMD64 = Platform("amd64", "SCMP_ARCH_X86_64", (6, 1))
ALLOW, ERRNO = 0x7FFF0000, 0x00050000


def profile(*calls: dict[str, Any], **more: Any) -> bytes:
    return json.dumps({"defaultAction": "SCMP_ACT_ERRNO", "syscalls": list(calls), **more}).encode()


def call(**more: Any) -> dict[str, Any]:
    return {"names": ["read"], "action": "SCMP_ACT_ALLOW", **more}


@pytest.mark.parametrize(
    ("condition", "applies"),
    [
        ({"includes": {"caps": ["CAP_SYS_ADMIN"]}}, False),
        ({"includes": {"caps": ["CAP_CHOWN"]}}, True),
        ({"includes": {"caps": ["CAP_CHOWN", "CAP_SYS_ADMIN"]}}, False),
        ({"excludes": {"caps": ["CAP_CHOWN"]}}, False),
        ({"excludes": {"caps": ["CAP_SYS_ADMIN"]}}, True),
        ({"includes": {"arches": ["amd64", "x32"]}}, True),
        ({"includes": {"arches": ["arm64"]}}, False),
        ({"excludes": {"arches": ["amd64"]}}, False),
        ({"includes": {"minKernel": "4.8"}}, True),
        ({"includes": {"minKernel": "6.2"}}, False),
        ({"excludes": {"minKernel": "6.1"}}, False),
        ({"includes": None, "excludes": {}}, True),
    ],
)
def test_who_a_rule_is_for(condition: dict[str, Any], applies: bool) -> None:  # noqa: FBT001
    """Includes must all hold, one exclude is enough."""
    rules = reduce_profile(profile(call(**condition)), AMD64.having(["CAP_CHOWN"]))
    assert rules is not None
    assert bool(rules.rules) == applies


def test_the_default_profile_reads() -> None:
    """With and without SYS_ADMIN, clone3 is answered ENOSYS or allowed."""
    plain = reduce_profile(default_profile(), AMD64)
    admin = reduce_profile(default_profile(), AMD64.having(["CAP_SYS_ADMIN"]))
    assert plain is not None
    assert admin is not None
    assert plain.architectures == ("x86_64", "x86", "x32")
    assert plain.default_action == ERRNO | 1
    assert {rule.action for rule in plain.rules if "clone3" in rule.names} == {ERRNO | 38}
    assert {rule.action for rule in admin.rules if "clone3" in rule.names} == {ALLOW}


def test_an_empty_profile_confines_nothing() -> None:
    """Neither action nor syscalls: Docker takes that as unconfined."""
    assert reduce_profile(b"{}", AMD64) is None


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"{", "Decoding seccomp profile failed"),
        (b"[]", "not a JSON object"),
        (b'{"syscalls": [{}]}', "is not a valid action"),
        (profile({"names": ["x"], "action": "SCMP_ACT_DANCE"}), r"syscalls\[0\].action.*not a valid action"),
        (profile(call(name="write")), "both 'name' and 'names' are specified"),
        (profile(call(names=[""])), "empty string is not a valid syscall"),
        (profile(call(names="read")), "is not a list"),
        (profile(call(args=[{"index": 6, "op": "SCMP_CMP_EQ"}])), r"args\[0\].index is not a number from 0 to 5"),
        (profile(call(args=[{"op": "=="}])), "not a valid operator"),
        (profile(call(args=[{"op": "SCMP_CMP_EQ", "value": -1}])), "value is not a number"),
        (profile(call(includes={"minKernel": "four"})), "invalid kernel version"),
        (profile(call(action="SCMP_ACT_NOTIFY")), "listenerPath is not set"),
        (profile(call(action="SCMP_ACT_NOTIFY", names=["write"]), listenerPath="/x"), "cannot be used for the write"),
        (profile(defaultAction="SCMP_ACT_NOTIFY", listenerPath="/x"), "cannot be used as default action"),
        (profile(listenerMetadata="x"), "listenerPath is not set"),
        (profile(flags=["SECCOMP_FILTER_FLAG_DANCE"]), "SECCOMP_FILTER_FLAG_DANCE is not known"),
        (profile(architectures=["SCMP_ARCH_X86"], archMap=[{}]), "both 'architectures' and 'archMap'"),
        (profile(architectures=["x86"]), "not a valid arch"),
        (profile("read"), r"syscalls\[0\] is not an object"),  # type: ignore[arg-type]
        (b"[" * 100000, "Decoding seccomp profile failed"),
        (b" " * (1 << 20) + b"{}", "larger than"),
    ],
)
def test_what_is_no_profile(data: bytes, message: str) -> None:
    """An error that names the place, never a filter that lets more through."""
    with pytest.raises(InvalidArgument, match=message):
        reduce_profile(data, AMD64)


def test_the_same_profile_for_a_runtime_that_compiles_it() -> None:
    """``linux.seccomp`` of config.json with what holds on this machine; the compiled programs are the same."""
    flags = ["SECCOMP_FILTER_FLAG_LOG"]
    data = profile(
        call(action="SCMP_ACT_ERRNO", errnoRet=0, includes={"caps": ["CAP_CHOWN"]}),
        call(names=["kill"], excludes={"caps": ["CAP_CHOWN"]}),
        {"name": "bind", "action": "SCMP_ACT_NOTIFY"},
        flags=flags,
        listenerPath="/x",
        archMap=[{"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86"]}],
    )
    assert oci_profile(data, AMD64.having(["CAP_CHOWN"])) == {
        "defaultAction": "SCMP_ACT_ERRNO",
        "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"],
        "flags": flags,
        "listenerPath": "/x",
        "syscalls": [
            {"names": ["read"], "action": "SCMP_ACT_ERRNO", "errnoRet": 0},
            {"names": ["bind"], "action": "SCMP_ACT_NOTIFY"},
        ],
    }
    assert loading(data) == {
        "flags": flags,
        "listenerPath": "/x",
        "syscalls": [{"names": ["bind"], "action": "SCMP_ACT_NOTIFY"}],
    }
    assert loading(default_profile()) is None


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@given(
    st.dictionaries(st.sampled_from(["defaultAction", "syscalls", "archMap", "flags", "defaultErrnoRet"]), values),
    st.dictionaries(st.sampled_from(["names", "name", "action", "args", "includes", "errnoRet"]), values),
)
def test_any_json_is_rules_or_refused(outer: dict[str, Any], inner: dict[str, Any]) -> None:
    """No other exception."""
    for data in (outer, {"defaultAction": "SCMP_ACT_ALLOW", **outer, "syscalls": [inner]}):
        try:
            reduce_profile(json.dumps(data).encode(), AMD64)
        except InvalidArgument:
            continue
