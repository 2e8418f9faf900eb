"""info, version and disk usage: true, and in the shape that clients of every version expect."""

from __future__ import annotations

import asyncio
import os
import re
from types import SimpleNamespace

import msgspec
import pytest

from wherry.api.routes.system import disk_usage, info_for
from wherry.api.server.routing import ApiVersion
from wherry.engine.images import ImageUsage
from wherry.engine.system import ContainerCounts, Settings, System, engine_id
from wherry.engine.system.host import proxy
from wherry.engine.system.shortcomings import warnings
from wherry.lib.errors import InvalidArgument
from wherry.runtime.host import HostFacts
from wherry.wire.volume import Volume, VolumeUsage

VOLUME = Volume(
    created_at="2026-01-01T00:00:00Z",
    driver="local",
    mountpoint="/v/data/_data",
    name="data",
    scope="local",
    usage_data=VolumeUsage(size=5, ref_count=1),
)


class Containers:
    def counts(self):
        return ContainerCounts(running=2, paused=1, stopped=4)

    async def disk_usage(self):
        return [{"Id": "c", "SizeRw": 3}]


class Images:
    def count(self):
        return 3

    def usage(self):
        return ImageUsage(100, [{"Id": "sha256:1", "Size": 60}])


class Volumes:
    async def usage(self):
        return [VOLUME]


@pytest.fixture
def system(tmp_path):
    settings = Settings(
        id="an-id", root=tmp_path, version="1.2.3", api_version="1.50", min_api_version="1.24", labels=("a=b",)
    )
    return System(
        settings,
        facts=HostFacts(),
        containers=Containers(),
        images=Images(),
        volumes=Volumes(),
        events=SimpleNamespace(listeners=1),
    )


def informed(system, minor):
    async def ask():
        return info_for(system.info(), ApiVersion(1, minor))

    return asyncio.run(ask())


def test_info_is_true(system, tmp_path):
    """What can be checked against the machine is."""
    info = informed(system, 50)
    assert (info["Containers"], info["ContainersRunning"], info["ContainersPaused"], info["ContainersStopped"]) == (
        7,
        2,
        1,
        4,
    )
    assert (info["Images"], info["NEventsListener"], info["ID"], info["Labels"]) == (3, 1, "an-id", ["a=b"])
    assert info["KernelVersion"] == os.uname().release
    assert info["Architecture"] == os.uname().machine
    assert info["NCPU"] == len(os.sched_getaffinity(0))
    assert info["MemTotal"] > 1 << 20
    assert info["DockerRootDir"] == str(tmp_path)
    assert info["CgroupVersion"] in ("1", "2")
    assert dict(info["DriverStatus"])["Supports d_type"] == "true"
    assert info["FirewallBackend"] == {"Driver": "nftables"}
    assert info["Swarm"]["LocalNodeState"] == "inactive"
    assert info["SecurityOptions"] == ["name=seccomp,profile=builtin"]
    assert set(info["Runtimes"]) == {info["DefaultRuntime"]} == {"wherry"}


@pytest.mark.parametrize(
    ("minor", "present", "absent"),
    [
        (50, {"FirewallBackend"}, {"BridgeNfIptables", "DefaultAddressPools"}),
        (49, {"FirewallBackend", "BridgeNfIptables"}, set()),
        (48, {"BridgeNfIptables"}, {"FirewallBackend"}),
        (41, {"BridgeNfIptables"}, {"FirewallBackend"}),
    ],
)
def test_info_for_older_clients(system, minor, present, absent):
    """Each version gets the keys that dockerd gave it."""
    info = informed(system, minor)
    assert present <= info.keys()
    assert not absent & info.keys()
    assert ("Expected" in info["RuncCommit"]) is (minor < 49)
    assert ("AllowNondistributableArtifactsCIDRs" in info["RegistryConfig"]) is (minor < 48)


def test_version(system):
    """Go's version field says honestly what runs instead."""
    version = msgspec.to_builtins(system.version())
    assert version["Platform"] == {"Name": "wherry"}
    assert (version["Version"], version["ApiVersion"], version["MinAPIVersion"]) == ("1.2.3", "1.50", "1.24")
    assert re.fullmatch(r"n/a \(CPython 3\.\d+\.\d+\)", version["GoVersion"])
    (engine,) = version["Components"]
    assert (engine["Name"], engine["Version"]) == ("Engine", "1.2.3")
    assert engine["Details"]["KernelVersion"] == os.uname().release


def asked(system, minor, *kinds):
    request = SimpleNamespace(version=ApiVersion(1, minor), query=SimpleNamespace(texts=lambda _name: list(kinds)))
    return asyncio.run(disk_usage(system, request)).value


def test_disk_usage(system):
    """Everything by default; from 1.42 on what was asked for; what was not is null."""
    everything = asked(system, 50)
    assert everything["LayersSize"] == 100
    assert everything["Containers"] == [{"Id": "c", "SizeRw": 3}]
    assert everything["Volumes"][0]["UsageData"] == {"Size": 5, "RefCount": 1}
    assert everything["BuildCache"] == []
    only = asked(system, 50, "volume")
    assert (only["Images"], only["Containers"], only["BuildCache"], len(only["Volumes"])) == (None, None, None, 1)
    assert asked(system, 41, "volume")["Images"] == [{"Id": "sha256:1", "Size": 60, "VirtualSize": 60}]
    with pytest.raises(InvalidArgument, match="unknown object type: nope"):
        asked(system, 50, "nope")


def test_engine_id_is_stable(tmp_path):
    """Made at the first start, the same ever after."""
    assert engine_id(tmp_path) == engine_id(tmp_path)
    assert (tmp_path / "engine-id").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("", ""),
        ("http://proxy:3128", "http://proxy:3128"),
        ("http://me:secret@proxy:3128/x", "http://xxxxx:xxxxx@proxy:3128/x"),
    ],
)
def test_proxy_credentials_are_masked(monkeypatch, value, shown):
    """A password in the environment is never shown."""
    monkeypatch.delenv("HTTPS_PROXY", raising=False)
    monkeypatch.setenv("https_proxy", value)
    assert proxy("HTTPS_PROXY") == shown


def test_warnings():
    """A machine without control groups' files gets dockerd's warnings; v2 is not blamed for what it never had."""
    poor = warnings(HostFacts(cgroup_version=1, swap_limit=False))
    assert "WARNING: No swap limit support" in poor
    assert "WARNING: No memory limit support" not in poor
    assert warnings(HostFacts(cgroup_version=2, kernel_memory_tcp=False, oom_kill_disable=False)) == []
