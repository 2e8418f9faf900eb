"""The JSON of containers: the keys that dockerd sends, in its order, and what it leaves out."""

from __future__ import annotations

import msgspec

from wherry.wire.container import (
    ContainerConfig,
    ContainerState,
    ContainerSummary,
    CreateRequest,
    HostConfig,
    Mount,
    MountPoint,
    NetworkSettings,
    StatsResponse,
)

CONFIG = """Hostname Domainname User AttachStdin AttachStdout AttachStderr Tty OpenStdin StdinOnce Env Cmd Image Volumes
    WorkingDir Entrypoint OnBuild Labels""".split()

HOST = """
    Binds ContainerIDFile LogConfig NetworkMode PortBindings RestartPolicy AutoRemove VolumeDriver VolumesFrom
    ConsoleSize CapAdd CapDrop CgroupnsMode Dns DnsOptions DnsSearch ExtraHosts GroupAdd IpcMode Cgroup Links
    OomScoreAdj PidMode Privileged PublishAllPorts ReadonlyRootfs SecurityOpt UTSMode UsernsMode ShmSize
    Isolation CpuShares Memory NanoCpus CgroupParent BlkioWeight BlkioWeightDevice BlkioDeviceReadBps
    BlkioDeviceWriteBps BlkioDeviceReadIOps BlkioDeviceWriteIOps CpuPeriod CpuQuota CpuRealtimePeriod
    CpuRealtimeRuntime CpusetCpus CpusetMems Devices DeviceCgroupRules DeviceRequests MemoryReservation
    MemorySwap MemorySwappiness OomKillDisable PidsLimit Ulimits CpuCount CpuPercent IOMaximumIOps
    IOMaximumBandwidth MaskedPaths ReadonlyPaths
""".split()

STATE = "Status Running Paused Restarting OOMKilled Dead Pid ExitCode Error StartedAt FinishedAt".split()


def written(value):
    return msgspec.json.decode(msgspec.json.encode(value))


def test_an_empty_configuration():
    assert list(written(ContainerConfig())) == CONFIG
    assert list(written(HostConfig())) == HOST
    assert list(written(ContainerState())) == STATE
    assert written(HostConfig())["Binds"] is None
    assert written(HostConfig())["ConsoleSize"] == [0, 0]


def test_what_is_set_is_written():
    config = written(ContainerConfig(stop_timeout=0, stop_signal="INT", exposed_ports={"80/tcp": {}}, shell=["sh"]))
    assert (config["StopTimeout"], config["StopSignal"], config["ExposedPorts"]) == (0, "INT", {"80/tcp": {}})
    host = written(
        HostConfig(init=False, runtime="wherry", sysctls={"a": "b"}, tmpfs={"/t": ""}, mounts=[Mount(type="tmpfs")])
    )
    assert (host["Init"], host["Runtime"], host["Mounts"]) == (False, "wherry", [{"Type": "tmpfs"}])


def test_everything_survives_a_round_trip():
    for value in (
        ContainerConfig(cmd=["a"], labels={}),
        HostConfig(memory=5, oom_kill_disable=True),
        NetworkSettings(),
    ):
        assert msgspec.json.decode(msgspec.json.encode(value), type=type(value)) == value


def test_a_mount_point_of_a_bind_has_no_name_or_driver():
    assert list(written(MountPoint(type="bind", source="/a", destination="/b", rw=True))) == [
        "Type", "Source", "Destination", "Mode", "RW", "Propagation",
    ]  # fmt: skip


def test_a_summary_without_sizes():
    summary = ContainerSummary(
        id="1", names=["/x"], image="i", image_id="sha256:1", command="c", created=1, ports=[], labels={},
        state="running",
        status="Up", mounts=[],
    )  # fmt: skip
    assert list(written(summary)) == [
        "Id", "Names", "Image", "ImageID", "Command", "Created", "Ports", "Labels", "State", "Status", "HostConfig",
        "NetworkSettings", "Mounts",
    ]  # fmt: skip


def test_stats_of_a_container_that_does_not_run():
    """As dockerd writes them, but for name and id, which stand first since 28."""
    stats = written(StatsResponse())
    assert stats["pids_stats"] == stats["memory_stats"] == stats["storage_stats"] == {}
    assert stats["cpu_stats"] == {
        "cpu_usage": {"total_usage": 0, "usage_in_kernelmode": 0, "usage_in_usermode": 0},
        "throttling_data": {"periods": 0, "throttled_periods": 0, "throttled_time": 0},
    }
    assert set(stats["blkio_stats"].values()) == {None}
    assert (stats["read"], stats["num_procs"]) == ("0001-01-01T00:00:00Z", 0)


def test_the_configuration_of_a_create_request():
    request = CreateRequest(image="i", cmd=["c"], host_config=HostConfig(memory=1))
    assert request.config == ContainerConfig(image="i", cmd=["c"])
