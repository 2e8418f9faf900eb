"""`make bench`: how long and how large, as ratios to a real dockerd, side by side in one run.

Both daemons get the same image and are driven by the same docker CLI. Measurements alternate A B A B, so that what the
machine does besides falls on both; medians are compared. Noise is the machine's: trust the ratio, not the milliseconds.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from support import images, leaks
from support.daemons import Daemon, Dockerd, Wherryd, reference_missing

ROUNDS = 15
MANY = 50


@dataclass(frozen=True)
class Row:
    """One line of the table: medians of ours and the reference's, in ``unit``."""

    name: str
    unit: str
    ours: float
    reference: float
    target: float

    @property
    def ratio(self) -> float:
        return self.ours / self.reference

    def line(self) -> str:
        verdict = "ok" if self.ratio <= self.target else "MISSED"
        return (
            f"{self.name:<44}{self.ours:>10.1f}{self.reference:>12.1f} {self.unit:<4}"
            f"{self.ratio:>8.2f}{self.target:>8.1f}  {verdict}"
        )


def main() -> int:
    """Print the table; a target that is missed is marked. 2 when there is nothing to compare with."""
    if reason := reference_missing():
        print(f"no bench: {reason}", file=sys.stderr)
        return 2
    ours, reference = Wherryd(), Dockerd()
    try:
        for daemon in (ours, reference):
            daemon.start()
            daemon.docker("load", input=images.docker_archive(["busybox:latest"], [images.busybox_layer()]))
        rows = measure(ours, reference)
        for daemon in (ours, reference):
            daemon.clear()
            daemon.stop()
    finally:
        ours.discard()
        reference.discard()
    print(f"{'':<44}{'wherry':>10}{'dockerd':>12} {'':<4}{'ratio':>8}{'target':>8}")
    for row in rows:
        print(row.line())
    return 0


def measure(ours: Daemon, reference: Daemon) -> list[Row]:
    """Every row of the table, cheapest first."""
    pair = (ours, reference)
    rows = [idle_memory(pair)]

    def timed(name: str, target: float, *args: str) -> None:
        mine, theirs = alternate(pair, lambda daemon: command(daemon, *args))
        rows.append(Row(name, "ms", mine, theirs, target))

    timed("run --rm --network none busybox true", 0.2, "run", "--rm", "--network", "none", "busybox", "true")
    timed("run --rm busybox true (bridge)", 0.2, "run", "--rm", "busybox", "true")
    for daemon in pair:
        daemon.docker("run", "-d", "--name", "box", "--network", "none", "busybox", "sleep", "600")
    timed("exec box true", 0.5, "exec", "box", "true")
    rows += many(pair)
    return rows


def command(daemon: Daemon, *args: str) -> float:
    """Milliseconds of one docker command that must succeed."""
    argv, env = daemon.docker_argv(*args), daemon.docker_env()
    begun = time.perf_counter()
    subprocess.run(argv, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=True, timeout=60)
    return (time.perf_counter() - begun) * 1000


def alternate(pair: tuple[Daemon, Daemon], work: Callable[[Daemon], float]) -> tuple[float, float]:
    """Medians of ``work`` on each, one warm-up and then turn about."""
    taken: tuple[list[float], list[float]] = ([], [])
    for daemon in pair:
        work(daemon)
    for _ in range(ROUNDS):
        for daemon, times in zip(pair, taken, strict=True):
            times.append(work(daemon))
    return statistics.median(taken[0]), statistics.median(taken[1])


def many(pair: tuple[Daemon, Daemon]) -> list[Row]:
    """Fifty detached runs one after the other, and what a shim weighs while they run."""
    seconds, shims = [], []
    for daemon in pair:
        begun = time.perf_counter()
        for _ in range(MANY):
            command(daemon, "run", "-d", "busybox", "sleep", "600")
        seconds.append(time.perf_counter() - begun)
        time.sleep(1)
        weights = [pss(pid) for pid in shim_pids(daemon)]
        shims.append(statistics.median(weights) / 1024)
        daemon.clear()
    return [
        Row(f"{MANY} x run -d busybox sleep (bridge)", "s", seconds[0], seconds[1], 0.2),
        Row(f"PSS of one shim of {MANY}", "MiB", shims[0], shims[1], 0.7),
    ]


def idle_memory(pair: tuple[Daemon, Daemon]) -> Row:
    """PSS of all processes of each idle daemon: wherryd with its zygote, dockerd with its containerd."""
    time.sleep(2)
    weights = [sum(pss(pid) for pid in pids(daemon)) / 1024 for daemon in pair]
    return Row("idle daemon, PSS", "MiB", weights[0], weights[1], 0.6)


def pids(daemon: Daemon) -> list[int]:
    """Every process of the daemon, its helpers and containers included."""
    return [int(line.split()[0]) for line in leaks.processes(daemon.name, daemon.root)]


def shim_pids(daemon: Daemon) -> list[int]:
    """The parent of each container's first process: wherry's shim, containerd's shim."""
    running = [item["Id"] for item in daemon.api("GET", "/containers/json").json()]
    return sorted({parent(daemon.inspect(name)["State"]["Pid"]) for name in running})


def parent(pid: int) -> int:
    """A process's parent, from the fourth field of its stat."""
    return int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])


def pss(pid: int) -> int:
    """Proportional set size in KiB; 0 when the process has gone."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)


if __name__ == "__main__":
    sys.exit(main())
