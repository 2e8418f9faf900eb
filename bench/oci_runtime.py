"""`make bench`, second table: the OCI runtime beside runc, side by side in one run.

    run as a command      `wherry-oci run` and `runc run` of one bundle whose program is busybox true
    run by the zygote     the same program through the daemon's launcher: request to exit status
    the 500th container   start latency with 500 idle containers, against the first ones

Measurements alternate; medians are compared.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import uvloop

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from ratios import Row

from runtime.lab import Lab, finish, launcher
from support.images import busybox_root

ROUNDS = 30
CROWD = 500
SAMPLE = 20
BUSYBOX = Path("/bin/busybox")
OURS = Path(sys.executable).with_name("wherry-oci")


def main() -> int:
    """Print the table. 2 when there is nothing to compare with."""
    runc = shutil.which("runc") or shutil.which("runc", path="/usr/sbin:/usr/bin:.cache/reference/usr/sbin")
    if runc is None or not BUSYBOX.exists():
        print("no bench of the runtime: it needs runc and busybox-static", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="wherry-bench-") as scratch:
        directory = Path(scratch)
        image = busybox_root(directory / "image", "proc", "dev", "sys", "tmp")
        rows = uvloop.run(measure(directory, image, runc))
    print(f"{'':<44}{'wherry':>10}{'peer':>12} {'':<4}{'ratio':>8}{'target':>8}")
    for row in rows:
        print(row.line())
    return 0


async def measure(directory: Path, image: Path, runc: str) -> list[Row]:
    """Every row."""
    bundle = make_bundle(directory / "bundle", image)
    states = {str(OURS): directory / "ours", runc: directory / "theirs"}
    taken: dict[str, list[float]] = {"command": [], "zygote": [], "runc": []}
    lab = Lab(directory / "lab", image)
    async with launcher() as zygote:
        for number in range(-2, ROUNDS):
            row = {
                "command": await asyncio.to_thread(command, str(OURS), states[str(OURS)], bundle, number),
                "runc": await asyncio.to_thread(command, runc, states[runc], bundle, number),
                "zygote": await launched(zygote, lab, number),
            }
            if number >= 0:
                for name, value in row.items():
                    taken[name].append(value)
        first, last = await crowd(zygote, lab)
    median = {name: statistics.median(values) for name, values in taken.items()}
    return [
        Row("wherry-oci run, runc run: busybox true", "ms", median["command"], median["runc"], 2.5),
        Row("launch by the zygote, runc run: busybox true", "ms", median["zygote"], median["runc"], 0.7),
        Row(f"start beside {CROWD} containers, beside none", "ms", last, first, 1.3),
    ]


def command(program: str, state: Path, bundle: Path, number: int) -> float:
    """Milliseconds of one `run`."""
    begun = time.perf_counter()
    subprocess.run(
        [program, "--root", str(state), "run", "--bundle", str(bundle), f"bench-{number + 10}"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        check=True,
        timeout=60,
    )
    return (time.perf_counter() - begun) * 1000


async def launched(zygote, lab: Lab, number: int) -> float:
    """Milliseconds from the request to the exit status."""
    request = lab.request("/bin/true", name=f"z{number + 10}", log=None)
    begun = time.perf_counter()
    await finish(await zygote.launch(request, attach=True))
    taken = (time.perf_counter() - begun) * 1000
    await asyncio.sleep(0.1)  # the next spare shim is forked meanwhile, as between two commands of a user
    return taken


async def crowd(zygote, lab: Lab) -> tuple[float, float]:
    """Milliseconds until the program runs: medians of the first and of the last of many containers."""
    times, shims = [], []
    for number in range(CROWD + SAMPLE):
        request = lab.request("/bin/sleep", "600", name=f"crowd{number}", log=None)
        begun = time.perf_counter()
        shims.append(await zygote.launch(request, attach=False))
        times.append((time.perf_counter() - begun) * 1000)
        await asyncio.sleep(0.05)
    for shim in shims:
        os.kill(shim.pid, 9)
    for shim in shims:
        await shim.wait()
    return statistics.median(times[:SAMPLE]), statistics.median(times[-SAMPLE:])


def make_bundle(directory: Path, image: Path) -> Path:
    """The bundle that `runc spec` would make, with `true` for its program, no terminal and no rise of limits."""
    directory.mkdir()
    spec = Lab(directory, image).spec("bench", ["/bin/true"])
    spec["ociVersion"] = "1.0.2"
    spec["root"] = {"path": str(image)}
    spec["linux"]["cgroupsPath"] = "/wherry-bench/one"
    (directory / "config.json").write_text(json.dumps(spec))
    return directory


if __name__ == "__main__":
    sys.exit(main())
