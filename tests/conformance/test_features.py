"""features.md and features-linux.md: what the runtime says of itself, held to what it does."""

from __future__ import annotations

from typing import Any

import pytest

from conformance.bundle import args, capabilities, linux, mounts, process, top
from conformance.clauses import DEFINED, MAY, MUST, MUST_NOT, SHOULD, case, cases, clause
from conformance.runtime import Runtime
from conformance.test_mounts import OPTIONS
from conformance.yard import Scope

KNOWN = {
    *("ociVersionMin", "ociVersionMax", "hooks", "mountOptions", "linux", "annotations"),
    "potentiallyUnsafeConfigAnnotations",
}


@pytest.fixture(scope="module")
def said(runtime: Runtime) -> dict[str, Any]:
    """The document."""
    if runtime.features is None:
        pytest.skip(f"{runtime.name} {runtime.version} has no features command")
    return runtime.features


def number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.partition("-")[0].split("."))


@pytest.mark.parametrize(
    "name",
    cases(
        "features.md#specification-version",
        MUST,
        *(
            (name, f"{name} is a version that is accepted in config.json", name)
            for name in ("ociVersionMin", "ociVersionMax")
        ),
    ),
)
def test_versions(box: Scope, said: dict[str, Any], name: str) -> None:
    assert box(top(ociVersion=said[name])).run().code == 0


@clause("features.md#specification-version", MUST_NOT, "ociVersionMax is not less than ociVersionMin")
def test_version_order(said: dict[str, Any]) -> None:
    assert number(said["ociVersionMin"]) <= number(said["ociVersionMax"])


@clause("features.md#specification-version", MUST_NOT, "there are no properties that the specification does not define")
def test_nothing_else(said: dict[str, Any]) -> None:
    assert set(said) <= KNOWN


@clause("features.md#hooks", MUST, "the hooks that are named are the ones that are supported, all six")
def test_hooks(said: dict[str, Any]) -> None:
    points = ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"]
    assert said["hooks"] == points


@clause("features.md#mount-options", MUST, "every option that is named is recognized")
def test_mount_options_are_recognized(said: dict[str, Any]) -> None:
    """Each is mounted by test_mounts; here the names have to be ones that the table, or mount(8), has."""
    table = {option.name for option in OPTIONS} | {"remount", "tmpcopyup", "idmap", "ridmap", "acl", "noacl"}
    assert set(said["mountOptions"]) <= table


@clause("features.md#mount-options", MUST, "every option that the table demands is named")
def test_mount_options_are_whole(said: dict[str, Any]) -> None:
    demanded = {option.name for option in OPTIONS if option.level == MUST} | {"remount"}
    assert demanded <= set(said["mountOptions"])


@clause("features.md#mount-options", SHOULD, "options of single file systems are not named")
def test_mount_options_are_general(said: dict[str, Any]) -> None:
    assert not {"size", "mode", "uid", "gid", "nr_inodes", "lowerdir"} & set(said["mountOptions"])


@clause("features.md#annotations", MUST, "annotations map keys to strings")
def test_annotations(said: dict[str, Any]) -> None:
    assert all(isinstance(value, str) for value in (said.get("annotations") or {}).values())


@clause("features.md#platform-specific-features", MAY, "linux says what is supported of Linux")
def test_linux(said: dict[str, Any]) -> None:
    assert isinstance(said["linux"], dict)


# features-linux.md


@clause("features-linux.md#namespaces", MUST, "every namespace type that is named is recognized")
def test_namespaces(box: Scope, said: dict[str, Any]) -> None:
    names = set(said["linux"]["namespaces"])
    assert (
        {"cgroup", "ipc", "mount", "network", "pid", "user", "uts"}
        <= names
        <= {*("cgroup", "ipc", "mount", "network", "pid", "user", "uts", "time")}
    )
    assert box(linux(namespaces=[{"type": name} for name in sorted(names - {"user"})])).run().code == 0


@clause("features-linux.md#capabilities", MUST, "every capability that is named is recognized: no warning")
def test_capabilities(box: Scope, said: dict[str, Any]) -> None:
    names = said["linux"]["capabilities"]
    assert len(names) >= 41
    done = box(capabilities(bounding=names)).run()
    assert (done.code, done.err) == (0, "")


@pytest.mark.parametrize(
    "name",
    cases(
        "features-linux.md#cgroup",
        DEFINED,
        *((name, f"{name} is a boolean, and true", name) for name in ("v1", "v2", "systemd")),
    ),
)
def test_cgroup(said: dict[str, Any], name: str) -> None:
    assert said["linux"]["cgroup"][name] is True


SECCOMP = "features-linux.md#seccomp"


@clause(SECCOMP, DEFINED, "enabled says that seccomp is supported")
def test_seccomp(said: dict[str, Any]) -> None:
    assert said["linux"]["seccomp"]["enabled"] is True


@clause(SECCOMP, MUST, "every action that is named is recognized")
def test_seccomp_actions(box: Scope, said: dict[str, Any]) -> None:
    actions = [name for name in said["linux"]["seccomp"]["actions"] if name != "SCMP_ACT_NOTIFY"]
    calls = [
        "reboot",
        "swapon",
        "swapoff",
        "acct",
        "settimeofday",
        "init_module",
        "kexec_load",
        "vhangup",
        "pivot_root",
    ]
    rules = [{"names": [call], "action": action} for call, action in zip(calls, actions, strict=False)]
    rules = [rule for rule in rules if rule["action"] != "SCMP_ACT_ALLOW"]
    assert len(actions) >= 8
    assert box(linux(seccomp={"defaultAction": "SCMP_ACT_ALLOW", "syscalls": rules})).run().code == 0


@clause(SECCOMP, MUST, "every operator that is named is recognized")
def test_seccomp_operators(box: Scope, said: dict[str, Any]) -> None:
    operators = said["linux"]["seccomp"]["operators"]
    calls = ["reboot", "swapon", "swapoff", "acct", "settimeofday", "init_module", "kexec_load"]
    rules = [
        {"names": [call], "action": "SCMP_ACT_ERRNO", "args": [{"index": 0, "value": 1, "valueTwo": 1, "op": operator}]}
        for call, operator in zip(calls, operators, strict=True)
    ]
    assert box(linux(seccomp={"defaultAction": "SCMP_ACT_ALLOW", "syscalls": rules})).run().code == 0


@clause(SECCOMP, MUST, "every architecture that is named is recognized")
def test_seccomp_architectures(box: Scope, said: dict[str, Any]) -> None:
    """Those of the machine's own byte order together; a filter for the other one is another filter."""
    archs = said["linux"]["seccomp"]["archs"]
    assert "SCMP_ARCH_X86_64" in archs
    mine = [
        name for name in ("SCMP_ARCH_X86", "SCMP_ARCH_X86_64", "SCMP_ARCH_X32", "SCMP_ARCH_AARCH64") if name in archs
    ]
    rules = [{"names": ["reboot"], "action": "SCMP_ACT_ERRNO"}]
    profile = {"defaultAction": "SCMP_ACT_ALLOW", "architectures": mine, "syscalls": rules}
    assert box(linux(seccomp=profile)).run().code == 0


@clause(SECCOMP, DEFINED, "supportedFlags is a part of knownFlags")
def test_seccomp_flags(said: dict[str, Any]) -> None:
    seccomp = said["linux"]["seccomp"]
    if "knownFlags" not in seccomp:
        pytest.skip("the runtime names no flags")
    assert set(seccomp.get("supportedFlags") or []) <= set(seccomp["knownFlags"])


@clause(SECCOMP, MUST, "every flag that is named as supported is supported")
def test_seccomp_supported_flags(box: Scope, said: dict[str, Any]) -> None:
    flags = said["linux"]["seccomp"].get("supportedFlags")
    if flags is None:
        pytest.skip("the runtime names no flags")
    # Waiting killably is only for a filter that notifies.
    flags = [flag for flag in flags if flag != "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"]
    rules = [{"names": ["reboot"], "action": "SCMP_ACT_ERRNO"}]
    assert box(linux(seccomp={"defaultAction": "SCMP_ACT_ALLOW", "flags": flags, "syscalls": rules})).run().code == 0


@pytest.mark.parametrize(
    "name",
    [
        case("apparmor", id="apparmor", where="features-linux.md#apparmor", level=DEFINED, says="enabled is a boolean"),
        case("selinux", id="selinux", where="features-linux.md#selinux", level=DEFINED, says="enabled is a boolean"),
        case(
            "intelRdt", id="intelRdt", where="features-linux.md#intel-rdt", level=DEFINED, says="enabled is a boolean"
        ),
    ],
)
def test_modules(said: dict[str, Any], name: str) -> None:
    if name not in said["linux"]:
        pytest.skip(f"the runtime says nothing of {name}")
    assert isinstance(said["linux"][name]["enabled"], bool)


@clause("features-linux.md#mountextensions", MUST, "idmap.enabled is true in a runtime that knows mappings of mounts")
def test_idmap(said: dict[str, Any]) -> None:
    if "mountExtensions" not in said["linux"]:
        pytest.skip("the runtime says nothing of mount extensions")
    assert said["linux"]["mountExtensions"]["idmap"]["enabled"] is True


@clause("features.md#mount-options", MUST, "options that are named are taken together")
def test_options_together(box: Scope) -> None:
    few = ["nosuid", "nodev", "noexec", "relatime", "ro"]
    entry = {"destination": "/m", "type": "tmpfs", "source": "tmpfs", "options": few}
    assert box(args("/bin/true"), mounts(entry), process(cwd="/")).run().code == 0
