"""What a new container's options come to: Docker's defaults, warnings and refusals, in Docker's words."""

from __future__ import annotations

from typing import Any

import pytest

from wherry.lib.errors import InvalidArgument
from wherry.runtime.host import HostFacts
from wherry.runtime.spec_settle import DaemonDefaults, settle, validate
from wherry.wire.container import (
    ContainerConfig,
    HealthConfig,
    HostConfig,
    PortBinding,
    RestartPolicy,
    Ulimit,
    WeightDevice,
)

HOST = HostFacts(cpus=2, cpuset_cpus="0-1", cpuset_mems="0")
POOR = HostFacts(
    cpus=2,
    memory_limit=False,
    swap_limit=False,
    memory_reservation=False,
    memory_swappiness=False,
    oom_kill_disable=False,
    kernel_memory_tcp=False,
    cpu_shares=False,
    cpu_cfs=False,
    cpuset=False,
    pids_limit=False,
    blkio_weight=False,
    blkio_weight_device=False,
    blkio_throttle=False,
    ipv4_forwarding=False,
)
MEBI = 1 << 20
MISSING, GONE = "Your kernel does not support", "or the cgroup is not mounted."


def settled(config: ContainerConfig | None = None, host: HostFacts = HOST, **options: Any) -> HostConfig:
    return settle(config or ContainerConfig(), HostConfig(**options), host)[0]


def test_defaults() -> None:
    """What inspect shows of a container that asked for nothing."""
    found = settled()
    assert (found.shm_size, found.ipc_mode, found.cgroupns_mode, found.runtime) == (
        64 * MEBI,
        "private",
        "host",
        "runc",
    )
    assert found.oom_kill_disable is False
    assert found.masked_paths is not None
    assert "/proc/kcore" in found.masked_paths
    assert found.readonly_paths == ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"]


def test_defaults_on_cgroup_v2() -> None:
    """A cgroup namespace of its own, and no OOM switch."""
    host = HostFacts(cgroup_version=2, oom_kill_disable=False)
    found = settled(host=host, privileged=True)
    assert (found.cgroupns_mode, found.oom_kill_disable, found.masked_paths) == ("private", None, None)


def test_the_daemons_own_defaults() -> None:
    """Its configuration stands between the request and Docker's."""
    defaults = DaemonDefaults(
        shm_size=MEBI, ipc_mode="shareable", cgroupns_mode="private", runtime="io.containerd.runc.v2"
    )
    found = settle(ContainerConfig(), HostConfig(), HOST, defaults)[0]
    assert (found.shm_size, found.ipc_mode, found.cgroupns_mode) == (MEBI, "shareable", "private")
    assert found.runtime == "io.containerd.runc.v2"


@pytest.mark.parametrize(
    ("options", "field", "value"),
    [
        ({"memory": 64 * MEBI}, "memory_swap", 128 * MEBI),
        ({"memory": 64 * MEBI, "memory_swap": -1}, "memory_swap", -1),
        ({"pids_limit": 0}, "pids_limit", None),
        ({"pids_limit": -1}, "pids_limit", None),
        ({"memory_swappiness": -1}, "memory_swappiness", None),
        ({"cpu_shares": 1}, "cpu_shares", 2),
        ({"cpu_shares": 300_000}, "cpu_shares", 262_144),
    ],
)
def test_what_dockerd_adjusts(options: dict[str, Any], field: str, value: object) -> None:
    """Silently, as Docker."""
    assert getattr(settled(**options), field) == value


REFUSALS: list[tuple[dict[str, Any], str]] = [
    ({"memory": 4 * MEBI}, "Minimum memory limit allowed is 6MB"),
    ({"memory": -1}, "Minimum memory limit allowed is 6MB"),
    (
        {"memory": 64 * MEBI, "memory_swap": 32 * MEBI},
        "Minimum memoryswap limit should be larger than memory limit, see usage",
    ),
    ({"memory_swap": 32 * MEBI}, "You should always set the Memory limit when using Memoryswap limit, see usage"),
    ({"memory_swappiness": 200}, "Invalid value: 200, valid memory swappiness range is 0-100"),
    ({"memory_reservation": 1}, "Minimum memory reservation allowed is 6MB"),
    (
        {"memory": 64 * MEBI, "memory_reservation": 128 * MEBI},
        "Minimum memory limit can not be less than memory reservation limit, see usage",
    ),
    ({"nano_cpus": 3 * 10**9}, "Range of CPUs is from 0.01 to 2.00, as there are only 2 CPUs available"),
    ({"nano_cpus": -1}, "Range of CPUs is from 0.01 to 2.00, as there are only 2 CPUs available"),
    ({"nano_cpus": 1, "cpu_period": 1}, "Conflicting options: Nano CPUs and CPU Period cannot both be set"),
    ({"nano_cpus": 1, "cpu_quota": 1}, "Conflicting options: Nano CPUs and CPU Quota cannot both be set"),
    ({"cpu_period": 10}, "CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)"),
    ({"cpu_quota": 500}, "CPU cfs quota can not be less than 1ms (i.e. 1000)"),
    ({"cpu_shares": -1}, "shares: invalid argument"),
    ({"cpuset_cpus": "7"}, "Requested CPUs are not available - requested 7, available: 0-1"),
    ({"cpuset_cpus": "x"}, "Invalid value x for cpuset cpus: invalid format: x"),
    ({"cpuset_cpus": "1-0"}, "Invalid value 1-0 for cpuset cpus: invalid format: 1-0"),
    ({"cpuset_cpus": "0-999999999"}, "Invalid value 0-999999999 for cpuset cpus: invalid format: 0-999999999"),
    ({"cpuset_mems": "3"}, "Requested memory nodes are not available - requested 3, available: 0"),
    ({"blkio_weight": 5}, "Range of blkio weight is from 10 to 1000"),
    (
        {"io_maximum_iops": 5},
        "Invalid QoS settings: linux does not support Maximum IO Bandwidth or Maximum IO IOps",
    ),
    ({"oom_score_adj": 2000}, "Invalid value 2000, range for oom score adj is [-1000, 1000]"),
    ({"shm_size": -1}, "SHM size can not be less than 0"),
    ({"ipc_mode": "foo"}, "invalid IPC mode: foo"),
    ({"ipc_mode": "container:"}, "invalid IPC mode: container:"),
    ({"pid_mode": "foo"}, "invalid PID mode: foo"),
    ({"uts_mode": "foo"}, "invalid UTS mode: foo"),
    ({"cgroupns_mode": "foo"}, "invalid cgroup namespace mode: foo"),
    ({"network_mode": "container:"}, "invalid container format container:<name|id>"),
    ({"isolation": "hyperv"}, "invalid isolation: \"hyperv\" - linux only supports 'default'"),
    ({"cap_add": ["FOO"]}, 'invalid CapAdd: unknown capability: "CAP_FOO"'),
    ({"cap_drop": ["BAR"]}, 'invalid CapDrop: unknown capability: "CAP_BAR"'),
    ({"security_opt": ["foo=bar"]}, 'invalid --security-opt 2: "foo=bar"'),
    ({"security_opt": ["foo"]}, 'invalid --security-opt 1: "foo"'),
    ({"security_opt": ["no-new-privileges=maybe"]}, 'invalid --security-opt 2: "no-new-privileges=maybe"'),
    ({"tmpfs": {"foo": ""}}, "invalid mount path: 'foo' mount path must be absolute"),
    ({"tmpfs": {"/x": "foo=bar"}}, 'invalid tmpfs option ["foo" "bar"]'),
    ({"tmpfs": {"/": ""}}, "invalid specification: destination can't be '/'"),
    ({"runtime": "foo"}, "unknown or invalid runtime name: foo"),
    (
        {"storage_opt": {"size": "1g"}},
        "--storage-opt is supported only for overlay over xfs with 'pquota' mount option",
    ),
    (
        {"auto_remove": True, "restart_policy": RestartPolicy(name="always")},
        "can't create 'AutoRemove' container with restart policy",
    ),
    (
        {"restart_policy": RestartPolicy(name="foo")},
        "invalid restart policy: unknown policy 'foo'; use one of 'no', 'always', 'on-failure', or 'unless-stopped'",
    ),
    (
        {"restart_policy": RestartPolicy(name="always", maximum_retry_count=3)},
        "invalid restart policy: maximum retry count can only be used with 'on-failure'",
    ),
    (
        {"restart_policy": RestartPolicy(name="on-failure", maximum_retry_count=-3)},
        "invalid restart policy: maximum retry count cannot be negative",
    ),
    ({"ulimits": [Ulimit(name="foo", soft=1, hard=1)]}, "invalid ulimit type: foo"),
    (
        {"ulimits": [Ulimit(name="nofile", soft=2, hard=1)]},
        "ulimit soft limit must be less than or equal to hard limit: 2 > 1",
    ),
    ({"extra_hosts": ["foo"]}, 'bad format for add-host: "foo"'),
    ({"extra_hosts": ["foo:bar"]}, 'invalid IP address in add-host: "bar"'),
    ({"annotations": {"": "x"}}, "invalid Annotations: the empty string is not permitted as an annotation key"),
    ({"device_cgroup_rules": ["foo"]}, 'invalid device cgroup rule format: "foo"'),
    ({"sysctls": {"kernel.panic": "1"}}, 'sysctl "kernel.panic" is not in a separate kernel namespace'),
    (
        {"network_mode": "host", "sysctls": {"net.ipv4.ip_forward": "1"}},
        'sysctl "net.ipv4.ip_forward" not allowed in host network namespace',
    ),
    ({"userns_mode": "foo"}, "invalid USER mode: foo"),
    (
        {"network_mode": "host", "links": ["a:b"]},
        "conflicting options: host type networking can't be used with links. This would result in undefined behavior",
    ),
    (
        {"network_mode": "container:x", "links": ["a:b"]},
        "conflicting options: container type network can't be used with links. This would result in undefined behavior",
    ),
    ({"links": ["a:b"]}, "HostConfig.Links (--link) is not built yet"),
    ({"cpu_realtime_runtime": 5}, "kernel does not support CPU real-time scheduler"),
    ({"cgroup": "container:x"}, "HostConfig.Cgroup is not built yet"),
    ({"network_mode": "container:x", "dns": ["1.1.1.1"]}, "conflicting options: dns and the network mode"),
    (
        {"network_mode": "container:x", "publish_all_ports": True},
        "conflicting options: port publishing and the container type network mode",
    ),
    ({"masked_paths": ["proc"]}, "invalid masked or read-only path: 'proc' must be absolute"),
]


@pytest.mark.parametrize(("options", "message"), REFUSALS, ids=[message[:40] for _, message in REFUSALS])
def test_refusals(options: dict[str, Any], message: str) -> None:
    """At create, never at start."""
    with pytest.raises(InvalidArgument) as refusal:
        settled(**options)
    assert str(refusal.value) == message


@pytest.mark.parametrize(
    ("config", "options", "message"),
    [
        ({"hostname": "x"}, {"uts_mode": "host"}, "conflicting options: hostname and the UTS mode"),
        ({"hostname": "x"}, {"network_mode": "container:y"}, "conflicting options: hostname and the network mode"),
        ({"mac_address": "x"}, {"network_mode": "host"}, "conflicting options: mac-address and the network mode"),
        (
            {"exposed_ports": {"80/tcp": {}}},
            {"network_mode": "container:y"},
            "conflicting options: port exposing and the container type network mode",
        ),
        (
            {"working_dir": "relative"},
            {},
            "the working directory 'relative' is invalid, it needs to be an absolute path",
        ),
        ({"env": ["=foo"]}, {}, "invalid environment variable: =foo"),
        ({"env": [""]}, {}, "invalid environment variable: "),
        (
            {"healthcheck": HealthConfig(test=["CMD", "x"], interval=5)},
            {},
            "Interval in Healthcheck cannot be less than 1ms",
        ),
        (
            {"healthcheck": HealthConfig(test=["CMD", "x"], retries=-1)},
            {},
            "Retries in Healthcheck cannot be negative",
        ),
    ],
)
def test_refusals_of_the_config(config: dict[str, Any], options: dict[str, Any], message: str) -> None:
    """The part that is independent of the host, and its conflicts with the other."""
    with pytest.raises(InvalidArgument) as refusal:
        settle(ContainerConfig(**config), HostConfig(**options), HOST)
    assert str(refusal.value) == message


def test_what_the_machine_cannot_do_is_taken_out_with_a_warning() -> None:
    """One warning each, and nothing of it reaches the spec."""
    asked = HostConfig(
        memory=64 * MEBI,
        memory_reservation=32 * MEBI,
        memory_swappiness=5,
        kernel_memory=64 * MEBI,
        kernel_memory_tcp=MEBI,
        oom_kill_disable=True,
        pids_limit=5,
        cpu_shares=5,
        cpu_period=10_000,
        cpuset_cpus="0",
        cpu_percent=5,
        blkio_weight=500,
        blkio_weight_device=[WeightDevice(path="/dev/x", weight=5)],
    )
    found, warnings = settle(ContainerConfig(), asked, POOR)
    assert warnings == [
        "Your kernel does not support memory limit capabilities or the cgroup is not mounted. Limitation discarded.",
        f"{MISSING} memory soft limit capabilities {GONE} Limitation discarded.",
        f"{MISSING} memory swappiness capabilities {GONE} Memory swappiness discarded.",
        f"{MISSING} kernel memory limit capabilities {GONE} Limitation discarded.",
        f"{MISSING} kernel memory TCP limit capabilities {GONE} Limitation discarded.",
        "Your kernel does not support OomKillDisable. OomKillDisable discarded.",
        "Your kernel does not support PIDs limit capabilities or the cgroup is not mounted. PIDs limit discarded.",
        "Your kernel does not support CPU shares or the cgroup is not mounted. Shares discarded.",
        "Your kernel does not support CPU CFS scheduler. CPU period/quota discarded.",
        "linux does not support CPU percent. Percent discarded.",
        "Your kernel does not support cpuset or the cgroup is not mounted. Cpuset discarded.",
        "Your kernel does not support Block I/O weight or the cgroup is not mounted. Weight discarded.",
        "Your kernel does not support Block I/O weight_device or the cgroup is not mounted. Weight-device discarded.",
        "IPv4 forwarding is disabled. Networking will not work.",
    ]
    assert (found.memory, found.memory_swap, found.pids_limit, found.cpuset_cpus) == (0, -1, None, "")


def test_other_warnings() -> None:
    """For combinations that work, but not as one might think."""
    oom = HostConfig(oom_kill_disable=True)
    assert validate(oom, ContainerConfig(), HOST) == [
        (
            "OOM killer is disabled for the container, but no memory limit is set, "
            "this can result in the system running out of resources."
        )
    ]
    published = HostConfig(network_mode="host", port_bindings={"80/tcp": [PortBinding(host_port="80")]})
    assert validate(published, ContainerConfig(), HOST) == [
        "Published ports are discarded when using host network mode"
    ]
