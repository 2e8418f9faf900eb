"""dockerd's warnings about limits that the machine could have and has not."""

from __future__ import annotations

from wherry.runtime.host import HostFacts


def warnings(facts: HostFacts) -> list[str]:
    """One line for each limit that is missing, in dockerd's words; cgroup v2 is not blamed for what it never had."""
    v1 = facts.cgroup_version == 1
    checks = (
        (facts.memory_limit, "memory limit"),
        (facts.swap_limit, "swap limit"),
        (facts.kernel_memory_tcp or not v1, "kernel memory TCP limit"),
        (facts.oom_kill_disable or not v1, "oom kill disable"),
        (facts.cpu_cfs, "cpu cfs quota"),
        (facts.cpu_cfs, "cpu cfs period"),
        (facts.cpu_shares, "cpu shares"),
        (facts.cpuset, "cpuset"),
        (facts.blkio_throttle, "blkio throttle.read_bps_device" if v1 else "io.max (rbps)"),
        (facts.blkio_throttle, "blkio throttle.write_bps_device" if v1 else "io.max (wbps)"),
        (facts.blkio_throttle, "blkio throttle.read_iops_device" if v1 else "io.max (riops)"),
        (facts.blkio_throttle, "blkio throttle.write_iops_device" if v1 else "io.max (wiops)"),
    )
    return [f"WARNING: No {what} support" for there, what in checks if not there]
