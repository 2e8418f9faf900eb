"""A whole daemon's writes while it pulls and creates: wherever the power goes, it starts again on what is there (R8).

``tests/unit/transfer/test_crash_replay.py`` does the same for a load, densely; here the daemon itself was recorded.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from integration.test_crash_pull import clean
from support.commands import eventually, find
from support.daemons import Wherryd
from support.images import busybox_layer, docker_archive, small_layer
from support.registries import Registry
from support.replay import Call, End, recorded, replay, tracer
from unit.transfer.archives import open_store
from unit.transfer.test_crash_replay import differences

pytestmark = [
    pytest.mark.ours,
    pytest.mark.root,
    pytest.mark.slow,
    pytest.mark.skipif(find("strace") is None, reason="strace is not on this machine: apt-get install strace"),
]

STORES, DAEMONS = 8, 3
"""So many prefixes are given to the store alone, and so many to a daemon."""


class Traced(Wherryd):
    """Ours, its calls recorded by a tracer that stands aside: the daemon keeps its process id."""

    def argv(self) -> list[str]:
        return [*tracer(Path(self.root, "traces"), "-D"), *super().argv()]


@pytest.fixture(scope="module")
def calls(docker_cli: str) -> Iterator[list[Call]]:
    """All that a daemon does from its first start to its stop, with a pull and a container made between."""
    daemon = Traced()
    try:
        daemon.start()
        with Registry(daemon.box) as registry:
            registry.push_image("app", "1", [busybox_layer(), small_layer(a="a" * 200_000)])
            image = f"{registry.host}/app:1"
            daemon.docker("pull", "-q", image)
            daemon.docker("create", "--name", "one", "-v", "data:/data", image, "echo", "ran")
            daemon.docker("tag", image, "app:1")
        daemon.stop()
        traces = Path(daemon.root, "traces")
        sizes: list[int] = []

        def written() -> bool:
            sizes.append(sum(path.stat().st_size for path in traces.iterdir()))
            return len(sizes) > 3 and sizes[-1] == sizes[-4]

        eventually("the tracer has written all", written, every=0.1)
        yield recorded(Path(daemon.data_root), traces)
    finally:
        daemon.discard()


def moments(calls: list[Call], count: int, seed: int) -> list[int]:
    """How many calls have been done: most of them around a sync or a rename."""
    chosen = random.Random(seed)
    steps = [number + 1 for number, call in enumerate(calls) if call.name in {"sync", "rename", "fsync"}]
    return sorted({*chosen.sample(steps, count - 2), chosen.randrange(len(calls)), len(calls)})


@pytest.mark.timeout(180)
async def test_the_store_starts_on_every_prefix(tmp_path: Path, calls: list[Call]) -> None:
    """What is there is whole, and nothing leaks, after each of the three ends."""
    for count in moments(calls, STORES, 1):
        for end in End:
            root = tmp_path / f"{count}-{end.name}"
            replay(calls, count, end, root)
            async with open_store(root) as store:
                # What a container had is for the engine to remove, which knows that it is gone.
                for row in store.snapshots.rows():
                    if row.kind == "active":
                        await store.snapshots.remove(row.key)
                assert await differences(store) == [], (count, end)
            shutil.rmtree(root)


@pytest.mark.timeout(180)
def test_the_daemon_starts_on_every_prefix(calls: list[Call], busybox_tar: bytes) -> None:
    """It starts, nothing differs, and it loads and runs, though all that was not synced is lost."""
    for count in moments(calls, DAEMONS, 2):
        daemon = Wherryd()
        try:
            replay(calls, count, End.LOST, Path(daemon.data_root))
            daemon.start()
            clean(daemon, "--deep")
            if daemon.out("ps", "-aq"):
                assert daemon.out("start", "-a", "one") == "ran"
                daemon.docker("rm", "-v", "one")
            for image in set(daemon.out("images", "-q").split()):
                assert daemon.out("run", "--rm", image, "sh", "-c", "wc -c < /a") == "200000"
            daemon.docker("load", "-q", input=busybox_tar)
            assert daemon.out("run", "--rm", "busybox", "echo", "fine") == "fine"
            daemon.docker("load", "-q", input=docker_archive(["b:1"], [small_layer(b="1")]))
            clean(daemon)
            daemon.stop()
        finally:
            daemon.discard()
