"""The spec against what dockerd 20.10 wrote for the same options (its config.json, ids and paths replaced).

What Docker 28 does differently, and what we write more briefly, is said here and nowhere else.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from wherry.linux.capabilities import DEFAULT
from wherry.runtime.devices import DeviceNode, Devices
from wherry.runtime.host import HostFacts
from wherry.runtime.spec import Bind, SpecInput, build_spec
from wherry.runtime.spec_security import parse_security_options
from wherry.runtime.spec_settle import settle
from wherry.wire.container import ContainerConfig, DeviceMapping, HostConfig, Ulimit

HOST = HostFacts(cpus=2, cpuset_cpus="0-1", cpuset_mems="0", recursive_read_only=True)
ETC = tuple(
    Bind(source=f"/var/lib/docker/containers/ID/{name}", destination=f"/etc/{name}")
    for name in ("resolv.conf", "hostname", "hosts")
)
FUSE = DeviceNode("/dev/fuse", "c", 10, 229, 0o600, 0, 0)
FOO = DeviceNode("/dev/foo", "c", 1, 3, 0o666, 0, 0, "r")

PLAIN = (ContainerConfig(cmd=["sleep", "60"]), HostConfig(), {"hostname": "ID"})
ODD = (
    ContainerConfig(cmd=["sh", "-c", "sleep 50"], user="nobody:nogroup", hostname="foo", domainname="dom.x"),
    HostConfig(
        cap_add=["SYS_ADMIN"],
        cap_drop=["CHOWN"],
        security_opt=["seccomp=unconfined", "no-new-privileges"],
        devices=[DeviceMapping(path_on_host="/dev/fuse", path_in_container="/dev/fuse", cgroup_permissions="rwm")],
        group_add=["5"],
        cgroupns_mode="private",
        ipc_mode="shareable",
        shm_size=10 << 20,
        sysctls={"net.ipv4.ip_forward": "1"},
        oom_score_adj=100,
        cpu_shares=100,
        cpuset_cpus="0",
        memory=64 << 20,
        memory_swap=-1,
        memory_reservation=32 << 20,
        oom_kill_disable=True,
        tmpfs={"/run": ""},
        ulimits=[Ulimit(name="core", soft=0, hard=0)],
    ),
    {
        "hostname": "foo",
        "domainname": "dom.x",
        "shm_source": "/var/lib/docker/containers/ID/mounts/shm",
        "devices": Devices((FUSE, FOO)),
    },
)


def reference(name: str) -> dict[str, Any]:
    """dockerd's file, without what we leave out because it means "not set"."""
    spec: dict[str, Any] = json.loads(Path(__file__).with_name(f"dockerd-{name}.json").read_text())
    resources = spec["linux"]["resources"]
    for part, keys in (("memory", ["disableOOMKiller"]), ("cpu", ["shares"]), ("blockIO", ["weight"])):
        for key in keys:
            if not resources[part][key]:
                del resources[part][key]
        if not resources[part]:
            del resources[part]
    spec["root"].setdefault("readonly", False)
    spec["process"].setdefault("terminal", False)
    spec["process"].setdefault("noNewPrivileges", False)
    return spec


def in_docker_28(spec: dict[str, Any]) -> dict[str, Any]:
    """The newer version of the runtime spec, and the paths that Docker hides since."""
    spec["ociVersion"] = "1.2.0"
    masked = spec["linux"]["maskedPaths"]
    masked.insert(2, "/proc/interrupts")
    masked.append("/sys/devices/virtual/powercap")
    return spec


def resolved_by_the_runtime(spec: dict[str, Any]) -> dict[str, Any]:
    """The user is looked up in the container, and with it goes whether its capabilities are effective."""
    spec["process"]["user"] = {"uid": 0, "gid": 0}
    capabilities = spec["process"]["capabilities"]
    capabilities["effective"] = capabilities["permitted"] = capabilities["bounding"]
    return spec


@pytest.mark.parametrize(("name", "case"), [("plain", PLAIN), ("odd", ODD)])
def test_the_spec_is_dockerds(name: str, case: tuple[ContainerConfig, HostConfig, dict[str, Any]]) -> None:
    """Field by field, mounts in the same order but for equal depths."""
    config, host_config, more = case
    settled, warnings = settle(config, host_config, HOST)
    security = parse_security_options(settled.security_opt)
    given = SpecInput(
        id="ID", config=config, host_config=settled, cgroup_path="/docker/ID", host=HOST, etc_files=ETC,
        security=security, **more,
    )  # fmt: skip
    ours = build_spec(given)
    theirs = resolved_by_the_runtime(in_docker_28(reference(name)))
    assert warnings == []
    assert by_destination(ours.pop("mounts")) == by_destination(theirs.pop("mounts"))
    assert ours == theirs


def by_destination(mounts: Any) -> dict[str, Any]:
    return {mount["destination"]: mount for mount in mounts}


def test_the_default_capabilities_are_dockers() -> None:
    """The fourteen, in their order."""
    assert reference("plain")["process"]["capabilities"]["bounding"] == list(DEFAULT)
