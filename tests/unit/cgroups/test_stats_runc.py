"""The numbers of ``events``, in runc's shape and by runc's own reading of the same group."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from wherry.linux.cgroups import CgroupError, Cgroups, Hierarchy, open_hierarchy
from wherry.linux.cgroups.stats_runc import runc_stats
from wherry.linux.cgroups.v2 import CgroupsV2


def shape(value: Any) -> Any:
    """Keys in their order, down to what is a number."""
    if isinstance(value, dict):
        return {name: shape(part) for name, part in value.items()}
    return type(value)


@pytest.fixture
def running(tmp_path: Path, needs_runc: None) -> Iterator[dict[str, Any]]:
    """A container of runc's with every limit that shows: what its ``events --stats`` says, and its group's path."""
    subprocess.run(["runc", "spec"], cwd=tmp_path, check=True)
    (tmp_path / "rootfs/bin").mkdir(parents=True)
    busybox = subprocess.run(["which", "busybox"], capture_output=True, text=True, check=True).stdout.strip()
    (tmp_path / "rootfs/bin/sleep").write_bytes(Path(busybox).read_bytes())
    (tmp_path / "rootfs/bin/sleep").chmod(0o755)
    spec = json.loads((tmp_path / "config.json").read_text())
    spec["process"] |= {"terminal": False, "args": ["/bin/sleep", "100"], "rlimits": []}
    name = f"wherry-test-{os.getpid()}"
    spec["linux"]["cgroupsPath"] = f"/{name}"
    limits = {"memory": {"limit": 64 << 20}, "pids": {"limit": 7}, "cpu": {"quota": 50000, "period": 100000}}
    spec["linux"]["resources"] |= limits
    (tmp_path / "config.json").write_text(json.dumps(spec))
    runc = ["runc", "--root", str(tmp_path / "state")]
    subprocess.run([*runc, "run", "-d", "-b", str(tmp_path), name], check=True, stdin=-3, stdout=-3, stderr=-3)
    try:
        said = subprocess.run([*runc, "events", "--stats", name], capture_output=True, check=True).stdout
        yield {"path": f"/{name}", "data": json.loads(said)["data"]}
    finally:
        subprocess.run([*runc, "delete", "--force", name], check=True)


@pytest.fixture
def needs_runc() -> None:
    """Skip loudly where there is none."""
    if subprocess.run(["which", "runc", "busybox"], capture_output=True, check=False).returncode:
        pytest.skip("needs runc and busybox")


@pytest.mark.root
def test_the_same_group_read_by_runc(running: dict[str, Any]) -> None:
    """The same keys in the same order, and the same numbers where they stand still."""
    ours, theirs = runc_stats(open_hierarchy(), running["path"]), running["data"]
    for part in (ours["cpu"]["throttling"], theirs["cpu"]["throttling"], ours["blkio"], theirs["blkio"]):
        part.clear()  # there only once something has happened
    for memory in (ours["memory"], theirs["memory"]):
        memory.pop("cache", None)
        memory["kernelTCP"].pop("max", None)
    assert shape(ours) == shape(theirs)
    assert list(ours) == list(theirs)
    assert list(ours["memory"]["usage"]) == list(theirs["memory"]["usage"])
    assert ours["pids"]["limit"] == theirs["pids"]["limit"] == 7
    assert ours["cpuset"] == theirs["cpuset"]
    for entry in ("usage", "swap", "kernel", "kernelTCP"):
        assert ours["memory"][entry]["limit"] == theirs["memory"][entry]["limit"]


V2_FILES = {
    "cgroup.procs": "",
    "cpu.stat": "usage_usec 5\nuser_usec 3\nsystem_usec 2\nnr_periods 7\nnr_throttled 1\nthrottled_usec 4\n",
    "memory.current": "1000\n",
    "memory.max": "4096\n",
    "memory.peak": "2000\n",
    "memory.swap.current": "50\n",
    "memory.swap.max": "100\n",
    "memory.events": "low 0\nhigh 0\nmax 9\noom 1\noom_kill 1\n",
    "memory.stat": "file 12\nanon 34\n",
    "pids.current": "3\n",
    "pids.max": "max\n",
    "io.stat": "8:0 rbytes=10 wbytes=20 rios=1 wios=2 dbytes=0 dios=0\n254:1 \n",
}


def test_v2_in_the_words_of_v1(tmp_path: Path) -> None:
    """Swap with memory, µs as ns, and no limit as 0 processes."""
    (tmp_path / "g").mkdir()
    for name, text in V2_FILES.items():
        (tmp_path / "g" / name).write_text(text)
    stats = runc_stats(CgroupsV2(Hierarchy(str(tmp_path), (), unified=True)), "/g")
    assert stats["cpu"] == {
        "usage": {"total": 5000, "kernel": 2000, "user": 3000},
        "throttling": {"periods": 7, "throttledPeriods": 1, "throttledTime": 4000},
    }
    assert stats["memory"]["usage"] == {"limit": 4096, "usage": 1000, "max": 2000, "failcnt": 9}
    assert stats["memory"]["swap"] == {"limit": 4196, "usage": 1050, "failcnt": 0}
    assert stats["memory"]["raw"] == {"anon": 34, "file": 12}
    assert stats["pids"] == {"current": 3}
    assert stats["blkio"]["ioServiceBytesRecursive"] == [
        {"major": 8, "op": "Read", "value": 10},
        {"major": 8, "op": "Write", "value": 20},
    ]
    assert stats["hugetlb"] == {}
    assert stats["cpuset"]["cpu_exclusive"] == 0


def test_a_group_that_is_gone_is_said(tmp_path: Path) -> None:
    """Rather than zeros."""
    cgroups: Cgroups = CgroupsV2(Hierarchy(str(tmp_path), (), unified=True))
    with pytest.raises(CgroupError, match="cgroup /g does not exist"):
        runc_stats(cgroups, "/g")
