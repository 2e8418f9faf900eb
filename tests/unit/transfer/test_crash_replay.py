"""Every prefix of what a load does to the disk, with and without what was not synced, is a store that starts (R8).

``WHERRY_TEST_REPLAY=all`` takes every prefix; otherwise each that ends at a sync, a rename or an unlink of a blob or of
the state, and a seeded choice of the others.
"""

from __future__ import annotations

import os
import random
import shutil
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from support.commands import find
from support.images import docker_archive, image_id, small_layer
from support.replay import Call, End, record, replay
from unit.transfer.archives import leftovers, load, open_store
from wherry.engine.containers.registry import Registry
from wherry.engine.system.fsck import Fsck, Judged, Summary
from wherry.engine.system.fsck.blobs import BlobDigests, Blobs
from wherry.engine.system.fsck.images import ImagesCheck
from wherry.engine.system.fsck.layers import LayerContents, LayerRepair, Layers, LayerSizes
from wherry.engine.system.fsck.leaks import Leases, StateFile, Unneeded
from wherry.state.container import ContainerTable
from wherry.transfer.store import ImageStore

pytestmark = [
    pytest.mark.root,
    pytest.mark.slow,
    pytest.mark.skipif(find("strace") is None, reason="strace is not on this machine: apt-get install strace"),
]

SOME = 22
"""Prefixes by default, each with three ends."""
LAYERS = [small_layer(one="1" * 5000, two="2"), small_layer(three="3" * 300_000)]
WORKER = """
import asyncio, sys
from pathlib import Path
sys.path.insert(0, sys.argv[3])
from unit.transfer.archives import load, open_store

async def main() -> None:
    async with open_store(Path(sys.argv[1])) as store:
        await load(store, Path(sys.argv[2]).read_bytes())

asyncio.run(main())
"""


@pytest.fixture(scope="module")
def archive() -> bytes:
    return docker_archive(["a:1"], LAYERS)


@pytest.fixture(scope="module")
def calls(tmp_path_factory: pytest.TempPathFactory, archive: bytes) -> list[Call]:
    """What loading into a new store does."""
    place = tmp_path_factory.mktemp("record")
    (place / "image.tar").write_bytes(archive)
    tests = str(Path(__file__).parents[2])
    argv = [sys.executable, "-c", WORKER, str(place / "root"), str(place / "image.tar"), tests]
    found = record(argv, place / "root", place / "traces")
    shutil.rmtree(place / "traces")
    return found


def moments(calls: Sequence[Call]) -> list[int]:
    """How many calls have been done when it stops."""
    if os.environ.get("WHERRY_TEST_REPLAY") == "all":
        return list(range(len(calls) + 1))
    chosen = random.Random(8)
    steps = [
        number
        for number, call in enumerate(calls)
        if call.name in {"sync", "rename"} or (call.name == "fsync" and b"state.db" not in call.path)
    ]
    around = {step + offset for step in steps for offset in (0, 1)}
    writes = [number + 1 for number, call in enumerate(calls) if call.name == "write" and b"state.db" in call.path]
    picked = {*chosen.sample(sorted(around), min(SOME // 2, len(around)))}
    picked |= {*chosen.sample(writes, min(SOME // 4, len(writes)))}
    picked |= {*chosen.sample(range(len(calls)), SOME - len(picked) - 1), len(calls)}
    return sorted(picked)


def check_of(store: ImageStore) -> Fsck:
    repair = LayerRepair(store, Registry(ContainerTable(store.database)))
    quick = [
        *(StateFile(store.database), Leases(store), Blobs(store), Layers(store, repair), LayerSizes(store, repair)),
        *(ImagesCheck(store, repair), Unneeded(store)),
    ]
    return Fsck(quick, [BlobDigests(store), LayerContents(store, repair)])


async def differences(store: ImageStore) -> list[str]:
    steps: AsyncIterator[object] = check_of(store).run(deep=True)
    found = [step async for step in steps]
    assert isinstance(found[-1], Summary)
    return [str(step.finding) for step in found if isinstance(step, Judged)]


@pytest.mark.timeout(600)
async def test_every_prefix_starts_and_loads_again(tmp_path: Path, calls: list[Call], archive: bytes) -> None:
    """It starts; the image is there as a whole or not at all; nothing leaks; loading it makes it whole."""
    seen = set()
    for count in moments(calls):
        for end in End:
            root = tmp_path / f"{count}-{end.name}"
            replay(calls, count, end, root)
            async with open_store(root) as store:
                known = [image.id for image in store.images.all()]
                assert known in ([], [image_id(LAYERS)]), (count, end)
                assert await differences(store) == [], (count, end)
                assert bool(store.images.all_names()) == bool(known)
                blobs = leftovers(root)["blobs"]
                assert len(blobs) == (3 if known else 0), (count, end)
                (loaded,) = await load(store, archive)
                assert loaded.image_id == image_id(LAYERS)
                assert await differences(store) == [], (count, end)
                assert os.listdir(store.snapshots.upper(store.images.all()[0].chain[1])) == ["three"]
            seen.add(bool(known))
            shutil.rmtree(root)
    assert seen == {False, True}, "some prefixes end before the image is there, and some after it"


def test_the_recording_is_whole(tmp_path: Path, calls: list[Call]) -> None:
    """Done to its end it gives the same files as the program itself has made: the proof of the tool."""
    replay(calls, len(calls), End.KILLED, tmp_path / "root")
    found = leftovers(tmp_path / "root")
    assert len(found["blobs"]) == 3
    assert len(found["snapshots"]) == 3
    assert {call.name for call in calls} >= {"create", "write", "fsync", "sync", "rename", "mkdir"}
