"""A container in a user namespace: its maps, what it may share, what its spec says."""

from __future__ import annotations

from typing import Any

import pytest

from wherry.lib.errors import InvalidArgument
from wherry.runtime.host import HostFacts
from wherry.runtime.id_maps import NO_MAPS, IdMaps, IdRange
from wherry.runtime.spec import JoinPaths, SpecInput, build_spec
from wherry.runtime.spec_linux import id_maps
from wherry.runtime.spec_security import SecurityOptions
from wherry.runtime.spec_settle import DaemonDefaults, settle
from wherry.wire.container import ContainerConfig, HostConfig

PLAIN = HostConfig()
MAPS = IdMaps(
    uids=(IdRange(0, 100_000, 1000), IdRange(1000, 300_000, 64_536)),
    gids=(IdRange(0, 200_000, 65_536),),
)


def spec(host_config: HostConfig = PLAIN, maps: IdMaps = MAPS, **more: Any) -> dict[str, Any]:
    settled = settle(ContainerConfig(), host_config, HostFacts(), DaemonDefaults(maps=maps))[0]
    return build_spec(
        SpecInput(
            **{
                "id": "ID",
                "hostname": "h",
                "config": ContainerConfig(cmd=["true"]),
                "host_config": settled,
                "cgroup_path": "/x/ID",
                "host": HostFacts(),
                "maps": id_maps(settled, maps),
                **more,
            }
        )
    )


def test_ids_outside() -> None:
    """Each id is in the range that holds it; what no range holds has none."""
    assert MAPS.root == (100_000, 200_000)
    assert MAPS.owner(999, 5) == (100_999, 200_005)
    assert MAPS.owner(1000, 0) == (300_000, 200_000)
    with pytest.raises(ValueError, match="65536 is not mapped"):
        MAPS.owner(65_536, 0)
    assert (bool(NO_MAPS), NO_MAPS.root, NO_MAPS.owner(7, 8)) == (False, (0, 0), (7, 8))


def test_the_spec_has_namespace_and_maps() -> None:
    """And not the range of groups that may ping, which reaches beyond the map."""
    linux = spec(join=JoinPaths(network="/n", user="/n.user"))["linux"]
    assert {"type": "user", "path": "/n.user"} in linux["namespaces"]
    assert linux["uidMappings"] == [
        {"containerID": 0, "hostID": 100_000, "size": 1000},
        {"containerID": 1000, "hostID": 300_000, "size": 64_536},
    ]
    assert linux["gidMappings"] == [{"containerID": 0, "hostID": 200_000, "size": 65_536}]
    assert "net.ipv4.ping_group_range" not in linux["sysctl"]
    assert linux["sysctl"]["net.ipv4.ip_unprivileged_port_start"] == "0"


def test_a_container_may_have_the_hosts() -> None:
    """--userns host: as if the daemon mapped nothing, privileges and all."""
    linux = spec(HostConfig(userns_mode="host", privileged=True, pid_mode="host", network_mode="host"))["linux"]
    assert "user" not in {entry["type"] for entry in linux["namespaces"]}
    assert not {"uidMappings", "gidMappings"} & set(linux)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"privileged": True}, "privileged mode is incompatible with user namespaces"),
        ({"network_mode": "host"}, "cannot share the host's network namespace when user namespaces are enabled"),
        ({"pid_mode": "host"}, "cannot share the host PID namespace when user namespaces are enabled"),
    ],
)
def test_what_cannot_be(options: dict[str, Any], message: str) -> None:
    """dockerd's words; without maps nothing is wrong with it."""
    with pytest.raises(InvalidArgument, match=message):
        spec(HostConfig(**options))
    spec(HostConfig(**options), maps=NO_MAPS)


def test_writable_cgroups_need_the_hosts() -> None:
    with pytest.raises(InvalidArgument, match="option WritableCgroups conflicts with user namespaces"):
        spec(security=SecurityOptions(writable_cgroups=True))


@pytest.mark.parametrize(("mounted", "expected"), [(True, "bind"), (False, None)])
def test_message_queues_of_the_host(mounted: bool, expected: str | None) -> None:  # noqa: FBT001  from a table
    """--ipc host: a namespace that is not ours cannot be mounted anew, so it is bound where it is."""
    found = spec(HostConfig(ipc_mode="host"), host=HostFacts(message_queues=mounted), shm_source="/dev/shm")
    kinds = {mount["destination"]: mount["type"] for mount in found["mounts"]}
    assert kinds.get("/dev/mqueue") == expected
