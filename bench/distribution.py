"""`make bench`, third table: images on the move, beside a real dockerd and Debian's docker-registry, in one run.

    pull, push            one layer of 500 MB, gzipped, between each daemon and a docker-registry on its loopback
    pull of small files   twelve layers, 30,000 files
    save, load            the same large image as an archive, through the real docker CLI
    memory                peak of our daemon above idle while it pulls a layer of 2 GB
    GET of a blob         megabytes a second of both registries, eight connections; and 64 clients that must all finish

Both registries' data is the same directory. Measurements alternate; medians are compared.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import socket
import statistics
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import TypeVar

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from isal import igzip
from ratios import Row

from support.commands import find
from support.daemons import Daemon, Dockerd, Wherryd, reference_missing
from support.registries import DOCKER, DOCKER_MANIFEST, Registry

T = TypeVar("T")

ROUNDS = 3
MB = 1_000_000
LARGE = 500 * MB
HUGE = 2_000 * MB
SMALL_LAYERS = 12
SMALL_FILES = 30_000
CLIENTS = 64
CONNECTIONS = 8


def main() -> int:
    """Print the table; a target that is missed is marked. 2 when there is nothing to compare with."""
    if reason := reference_missing() or (None if find("docker-registry") else "no docker-registry on this machine"):
        print(f"no bench of images: {reason}", file=sys.stderr)
        return 2
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="wherry-bench-")))
        source = scratch / "registry"
        blob = fill(source)
        ours, reference = Wherryd(), Dockerd()
        for daemon in (ours, reference):
            stack.callback(daemon.discard)
            daemon.start()
        rows = measure(ours, reference, source, scratch)
        for daemon in (ours, reference):
            daemon.stop()
        rows += serving(source, blob)
    print(f"{'':<44}{'wherry':>10}{'peer':>12} {'':<4}{'ratio':>8}{'target':>8}")
    for row in rows:
        print(row.line())
    return 0


# --- what is moved


def fill(root: Path) -> str:
    """A registry's directory with the three images; the digest of the large layer."""
    with Registry(kind="docker", storage=root) as registry:
        large = publish(registry, "large", [large_layer(LARGE)])
        publish(registry, "huge", [large_layer(HUGE)])
        publish(registry, "small", [small_layer(number) for number in range(SMALL_LAYERS)])
        _, _, raw = registry.call("GET", f"/v2/large/manifests/{large}", Accept=DOCKER_MANIFEST)
    return str(json.loads(raw)["layers"][0]["digest"])


def publish(registry: Registry, name: str, layers: list[bytes]) -> str:
    """An image of these layers in the registry; its digest."""
    packed = [(igzip.compress(layer, 2), f"{DOCKER}.image.rootfs.diff.tar.gzip") for layer in layers]
    return str(registry.push_image(name, "latest", layers, packed=packed, docker=True)["digest"])


def large_layer(size: int) -> bytes:
    """A tar of files of 50 MB that compress about as programs do."""
    buffer = BytesIO()
    pick = random.Random(1)
    words = [pick.randbytes(pick.randrange(3, 40)) for _ in range(4000)]
    data = b"".join(pick.choices(words, k=2_500_000))[: 50 * MB]
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for number in range(size // len(data)):
            add(tar, f"data/{number}", data[number:] + data[:number])
    return buffer.getvalue()


def small_layer(number: int) -> bytes:
    """A tar of small files in a hundred directories."""
    buffer = BytesIO()
    pick = random.Random(number)
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for index in range(SMALL_FILES // SMALL_LAYERS):
            if index % 25 == 0:
                directory = tarfile.TarInfo(f"layer{number}/{index // 25}")
                directory.type, directory.mode = tarfile.DIRTYPE, 0o755
                tar.addfile(directory)
            add(tar, f"layer{number}/{index // 25}/{index}", pick.randbytes(pick.randrange(100, 6000)))
    return buffer.getvalue()


def add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    tar.addfile(info, BytesIO(data))


# --- daemons


def measure(ours: Wherryd, reference: Dockerd, source: Path, scratch: Path) -> list[Row]:
    """Every row that compares the daemons."""
    pair: tuple[Daemon, Daemon] = (ours, reference)
    rows: list[Row] = []
    with ExitStack() as stack:
        registries = {
            daemon.name: stack.enter_context(Registry(daemon.box, kind="docker", storage=source)) for daemon in pair
        }

        def pull(name: str) -> Callable[[Daemon], float]:
            def work(daemon: Daemon) -> float:
                reference = f"{registries[daemon.name].host}/{name}:latest"
                empty(daemon)
                return timed(daemon, "pull", "-q", reference)

            return work

        rows.append(memory(ours, f"{registries[ours.name].host}/huge:latest"))
        rows.append(row("pull, one layer of 500 MB", 0.5, pair, pull("large")))
        rows.append(row("pull, 12 layers of 30,000 files", 0.7, pair, pull("small")))
        for daemon in pair:
            daemon.docker("pull", "-q", f"{registries[daemon.name].host}/large:latest", timeout=120)
            daemon.docker("tag", f"{registries[daemon.name].host}/large:latest", "large:latest", timeout=60)
        rows.append(row("push, one layer of 500 MB", 0.5, pair, lambda daemon: push(daemon, scratch)))
        archive = scratch / "large.tar"
        rows.append(row("save, 500 MB", 0.4, pair, lambda daemon: save(daemon, archive)))
        rows.append(row("load, 500 MB", 0.4, pair, lambda daemon: load(daemon, archive)))
    return rows


def row(name: str, target: float, pair: tuple[Daemon, Daemon], work: Callable[[Daemon], float]) -> Row:
    """Medians of ``work`` on each, turn about."""

    def synced(daemon: Daemon) -> float:
        os.sync()
        return work(daemon)

    return Row(name, "s", *medians(pair, synced), target)


def medians(pair: tuple[T, T], work: Callable[[T], float]) -> tuple[float, float]:
    """What ``work`` takes on each, turn about."""
    taken: tuple[list[float], list[float]] = ([], [])
    for _ in range(ROUNDS):
        for one, times in zip(pair, taken, strict=True):
            times.append(work(one))
    return statistics.median(taken[0]), statistics.median(taken[1])


def timed(daemon: Daemon, *args: str, stdout: int = subprocess.DEVNULL) -> float:
    """Seconds of one docker command that must succeed."""
    begun = time.perf_counter()
    subprocess.run(
        daemon.docker_argv(*args),
        env=daemon.docker_env(),
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        check=True,
        timeout=600,
    )
    return time.perf_counter() - begun


def push(daemon: Daemon, scratch: Path) -> float:
    """A push to a registry that has nothing yet."""
    root = scratch / f"push-{daemon.name}"
    with Registry(daemon.box, kind="docker", storage=root) as registry:
        name = f"{registry.host}/large:latest"
        daemon.docker("tag", "large:latest", name)
        taken = timed(daemon, "push", "-q", name)
        daemon.docker("rmi", name)
    shutil.rmtree(root)
    return taken


def save(daemon: Daemon, archive: Path) -> float:
    with archive.open("wb") as file:
        return timed(daemon, "save", "large:latest", stdout=file.fileno())


def load(daemon: Daemon, archive: Path) -> float:
    """A load into a daemon that has no layer of it."""
    empty(daemon)
    return timed(daemon, "load", "-q", "-i", str(archive))


def empty(daemon: Daemon) -> None:
    """No image, and no file of those that were there: one daemon deletes before it answers, the other afterwards."""
    for image in {item["Id"] for item in daemon.api("GET", "/images/json").json()}:
        daemon.docker("rmi", "-f", image, timeout=120)
    files = -1
    while files != (files := sum(len(names) for _, _, names in os.walk(f"{daemon.data_root}/snapshots"))):
        time.sleep(1)
    os.sync()


def memory(daemon: Daemon, reference: str) -> Row:
    """Peak of resident memory above what the daemon had before, against what is allowed."""
    time.sleep(2)
    Path(f"/proc/{daemon.pid}/clear_refs").write_text("5")  # VmHWM begins anew
    before = status(daemon.pid, "VmRSS")
    timed(daemon, "pull", "-q", reference)
    return Row("memory above idle, pull of 2 GB; allowed", "MiB", status(daemon.pid, "VmHWM") - before, 150, 1.0)


def status(pid: int, field: str) -> float:
    """A size of a process in MiB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(f"{field}:"))


# --- registries


def serving(source: Path, blob: str) -> list[Row]:
    """Both registries on the same directory: seconds of one download by several connections, and of many clients."""
    rows: list[Row] = []
    with Registry(kind="wherry", storage=source) as ours, Registry(kind="docker", storage=source) as theirs:
        pair = (ours, theirs)
        for name, target, clients in (
            (f"GET of a blob, {CONNECTIONS} connections", 1.25, CONNECTIONS),
            (f"GET of a blob, {CLIENTS} clients at once", 1.25, CLIENTS),
        ):
            work = partial(download, path=f"/v2/large/blobs/{blob}", clients=clients)
            rows.append(Row(name, "s", *medians(pair, work), target))
    return rows


def download(registry: Registry, path: str, clients: int) -> float:
    """Seconds until so many connections have each read the whole of ``path``; a short read is an error."""
    faults: list[str] = []

    def one() -> None:
        try:
            drain(registry.host, path)
        except (OSError, ValueError) as error:
            faults.append(str(error))

    threads = [threading.Thread(target=one) for _ in range(clients)]
    begun = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if faults:
        raise SystemExit(f"{len(faults)} of {clients} downloads failed: {faults[0]}")
    return time.perf_counter() - begun


def drain(host: str, path: str) -> None:
    """GET and throw away; MSG_TRUNC lets the kernel do the throwing."""
    name, _, port = host.rpartition(":")
    with socket.create_connection((name, int(port)), timeout=120) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        head = b"".join(until_body(connection))
        fields = dict(line.lower().split(": ", 1) for line in head.decode().split("\r\n")[1:] if line)
        left = int(fields["content-length"])
        buffer = bytearray(1 << 20)
        while left:
            got = connection.recv_into(buffer, min(left, len(buffer)), socket.MSG_TRUNC)
            if not got:
                raise ValueError(f"{left} bytes missing")
            left -= got


def until_body(connection: socket.socket) -> Iterator[bytes]:
    """The head of the answer, byte by byte so that nothing of the body is taken."""
    last = b""
    while not last.endswith(b"\r\n\r\n"):
        byte = connection.recv(1)
        if not byte:
            raise ValueError("no answer")
        last = (last + byte)[-4:]
        yield byte


if __name__ == "__main__":
    sys.exit(main())
