"""From counters to the numbers that ``docker stats`` divides."""

from __future__ import annotations

from wherry.engine.containers.samples import Sample, build_response, parse_net_dev, parse_proc_stat
from wherry.lib.clock import ZERO
from wherry.linux.cgroups.stats import BlockCounter, CgroupStats, flat, number

NET_DEV = """\
Inter-|   Receive                                     |  Transmit
 face |bytes packets errs drop fifo frame compressed multicast|bytes packets errs drop fifo colls carrier compressed
    lo: 100 1 0 0 0 0 0 0 100 1 0 0 0 0 0 0
  eth0: 516 6 1 2 0 0 0 0 42 3 4 5 0 0 0 0
"""


def sample(at: int, used: int) -> Sample:
    stats = CgroupStats(
        cpu_total=used,
        per_cpu=(used, 0),
        memory_usage=5000,
        memory={"total_inactive_file": 1000},
        pids=3,
        block_bytes=(BlockCounter(8, 0, "Read", 4096),),
    )
    return Sample(read_at=at * 10**9, cgroup=stats, system_cpu=at * 2 * 10**9, online_cpus=2)


def test_a_percentage_can_be_told() -> None:
    """By the client's own formula: half of one CPU in a second is 50 % on a machine of two."""
    found = build_response("c0", "/x", sample(101, 600_000_000), sample(100, 100_000_000), machine_memory=10_000)
    used = found.cpu_stats.cpu_usage.total_usage - found.precpu_stats.cpu_usage.total_usage
    system = found.cpu_stats.system_cpu_usage - found.precpu_stats.system_cpu_usage
    assert used / system * found.cpu_stats.online_cpus * 100 == 50.0
    assert found.memory_stats.limit == 10_000
    assert (found.read, found.preread) == ("1970-01-01T00:01:41Z", "1970-01-01T00:01:40Z")
    assert found.pids_stats.current == 3
    entries = found.blkio_stats.io_service_bytes_recursive
    assert entries is not None
    assert (entries[0].op, entries[0].value) == ("Read", 4096)
    assert found.blkio_stats.io_queue_recursive == []


def test_a_first_sample_has_nothing_before_it() -> None:
    """Zeros, and Go's zero time."""
    found = build_response("c0", "/x", sample(100, 5), None, machine_memory=10_000)
    assert found.preread == ZERO
    assert found.precpu_stats.system_cpu_usage == 0


def test_interfaces_but_the_loopback() -> None:
    """Receive and transmit in their places."""
    (found,) = parse_net_dev(NET_DEV).items()
    name, counters = found
    assert name == "eth0"
    assert (counters.rx_bytes, counters.rx_packets, counters.rx_errors, counters.rx_dropped) == (516, 6, 1, 2)
    assert (counters.tx_bytes, counters.tx_packets, counters.tx_errors, counters.tx_dropped) == (42, 3, 4, 5)


def test_the_machines_cpu_time() -> None:
    """The first seven columns, as dockerd; guests are counted in user already."""
    total, online = parse_proc_stat("cpu  1 2 3 4 5 6 7 100 100 100\ncpu0 1\ncpu1 1\nintr 5\n")
    assert (total, online) == (28 * 10_000_000, 2)


def test_numbers_of_the_kernel() -> None:
    """``max``, nothing, and lines that are no counters."""
    assert number("max\n") == (1 << 64) - 1
    assert number("") == 0
    assert flat("a 1\nb x\nc\nd 2 3\n") == {"a": 1}
