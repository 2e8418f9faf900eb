"""The guide's limits: what ``docker run --cpus --memory`` asks for is shown, is the kernel's, and is felt."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from support.daemons import Daemon

MEBI = 1 << 20
LIMITS = ("--cpus=.5", "--memory=512M", "--memory-swap=1G")
# Two loops, three seconds and until the kernel has made them wait: a busy machine leaves them less than they may have.
LOOPS = """
stat=/sys/fs/cgroup/cpu/cpu.stat; [ -e $stat ] || stat=/sys/fs/cgroup/cpu.stat
cut -d' ' -f1 /proc/uptime
for n in 1 2; do (while :; do :; done) & done
sleep 3
for n in $(seq 40); do
    [ "$(sed -n 's/^nr_throttled //p' $stat)" -gt 0 ] && break
    sleep 0.5
done
cut -d' ' -f1 /proc/uptime
cat /sys/fs/cgroup/cpuacct/cpuacct.usage 2>/dev/null || sed -n 's/^usage_usec \\(.*\\)/\\1000/p' $stat
sed -n 's/^nr_throttled //p' $stat
kill %1 %2
"""


def memory(daemon: Daemon, name: str) -> tuple[str, str]:
    """The kernel's limit, and of swap v1's total or v2's swap alone, as the container itself reads them."""
    v1, v2 = "/sys/fs/cgroup/memory", "/sys/fs/cgroup"
    files = f"{v1}/memory.limit_in_bytes {v1}/memory.memsw.limit_in_bytes {v2}/memory.max {v2}/memory.swap.max"
    first, second = daemon.docker("exec", name, "sh", "-c", f"cat {files} 2>/dev/null; true").stdout.split()
    return first, second


def test_inspect_shows_what_was_asked_for(daemon: Daemon) -> None:
    """In the units of the API: billionths of a CPU, and bytes."""
    daemon.docker("run", "-d", "--name", "limited", *LIMITS, "busybox", "sleep", "60")
    words = "{{.HostConfig.NanoCpus}} {{.HostConfig.Memory}} {{.HostConfig.MemorySwap}}"
    assert daemon.out("inspect", "-f", words, "limited") == "500000000 536870912 1073741824"
    limit, swap = memory(daemon, "limited")
    assert limit == str(512 * MEBI)
    assert swap in (str(1024 * MEBI), str(512 * MEBI))


def test_a_loop_is_held_to_half_a_core(daemon: Daemon) -> None:
    """The kernel counts how long it ran, and how often it was made to wait."""
    said = daemon.docker("run", "--rm", "--network", "none", *LIMITS, "busybox", "sh", "-c", LOOPS, timeout=60).stdout
    start, end, nanoseconds, throttled = (float(word) for word in said.split())
    assert throttled > 0
    assert nanoseconds / 1e9 / (end - start) < 0.75  # two loops without the limit take up to two


def test_what_takes_more_memory_than_it_has_is_killed(daemon: Daemon) -> None:
    """600 MB in 512: exit code 137, and inspect knows why, even of a container that dies of it at once."""
    limits = ("--cpus=.5", "--memory=512M", "--memory-swap=512M")
    hog = ("dd", "if=/dev/zero", "of=/dev/null", "bs=600M", "count=1")
    done = daemon.docker("run", "--name", "hog", *limits, "busybox", *hog, check=False)
    assert done.returncode == 137
    assert daemon.out("inspect", "-f", "{{.State.OOMKilled}} {{.State.ExitCode}}", "hog") == "true 137"


def test_what_stays_within_its_memory_is_not_called_killed(daemon: Daemon) -> None:
    """SIGKILL alone is no lack of memory."""
    daemon.docker("run", "-d", "--name", "modest", *LIMITS, "busybox", "sleep", "60")
    daemon.docker("kill", "modest")
    daemon.docker("wait", "modest")
    assert daemon.out("inspect", "-f", "{{.State.OOMKilled}} {{.State.ExitCode}}", "modest") == "false 137"


def test_a_child_that_is_killed_for_memory_counts(daemon: Daemon) -> None:
    """The program goes on, and the container's end is still marked."""
    script = "dd if=/dev/zero of=/dev/null bs=64M count=1; echo status $?"
    limits = ("--memory=32M", "--memory-swap=32M")
    done = daemon.docker("run", "--name", "parent", *limits, "busybox", "sh", "-c", script)
    assert "status 137" in done.stdout
    assert daemon.out("inspect", "-f", "{{.State.OOMKilled}} {{.State.ExitCode}}", "parent") == "true 0"


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--memory=5m",), "Minimum memory limit allowed is 6MB"),
        (("--memory=64m", "--memory-swap=32m"), "Minimum memoryswap limit should be larger than memory limit"),
        (("--memory-swap=64m",), "You should always set the Memory limit when using Memoryswap limit, see usage"),
        (("--cpus=5000",), "Range of CPUs is from 0.01 to"),
        (("--cpus=1", "--cpu-quota=5000"), "Conflicting options: Nano CPUs and CPU"),
        (("--cpu-period=10",), "CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)"),
        (("--cpu-quota=10",), "CPU cfs quota can not be less than 1ms (i.e. 1000)"),
        (("--cpuset-cpus=4000",), "Requested CPUs are not available - requested 4000, available:"),
        (("--cpuset-mems=7",), "Requested memory nodes are not available - requested 7, available:"),
        (("--memory-swappiness=101",), "memory swappiness range is 0-100"),
        (("--blkio-weight=5",), "Range of blkio weight is from 10 to 1000"),
    ],
)
def test_limits_that_make_no_sense_are_refused(daemon: Daemon, flags: tuple[str, ...], message: str) -> None:
    """Before anything is made, in Docker's words."""
    done = daemon.docker("run", "--rm", *flags, "busybox", "true", check=False)
    if "blkio" in flags[0] and done.returncode == 0:
        pytest.skip("the machine has no block I/O weights: the limit is discarded with a warning")
    assert done.returncode == 125
    assert message in done.stderr


def test_the_number_of_processes_is_limited(daemon: Daemon) -> None:
    """The one too many is refused by the kernel."""
    script = "for n in 1 2 3 4 5 6; do sleep 5 & done; echo all"
    done = daemon.docker("run", "--rm", "--pids-limit=4", "busybox", "sh", "-c", script, check=False)
    assert "can't fork" in done.stderr
    assert "all" not in done.stdout


def test_devices_can_be_allowed_by_rule(daemon: Daemon) -> None:
    """``--device-cgroup-rule`` lets a node be opened that may be made but not opened otherwise."""
    if not Path("/dev/fuse").exists():
        pytest.skip("no /dev/fuse: the test's device")
    script = "mknod /tmp/fuse c 10 229 && : </tmp/fuse"
    assert "not permitted" in daemon.docker("run", "--rm", "busybox", "sh", "-c", script, check=False).stderr
    daemon.docker("run", "--rm", "--device-cgroup-rule=c 10:229 r", "busybox", "sh", "-c", script)


def test_an_io_limit_does_not_slow_the_end(daemon: Daemon) -> None:
    """The unmount of its root writes back what it has written: that must not happen at the container's own pace."""
    device = os.stat(daemon.data_root).st_dev
    name = os.path.basename(os.path.realpath(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}"))
    if not os.path.exists(f"/dev/{name}"):
        pytest.skip("the data root is on no block device of its own")
    script = "dd if=/dev/zero of=/file bs=64k count=64 2>/dev/null; echo written"
    limit = ("--device-write-iops", f"/dev/{name}:10")
    ran = daemon.docker("run", "--rm", "--network", "none", *limit, "busybox", "sh", "-c", script, timeout=8)
    assert ran.stdout == "written\n"
