"""Killed at any moment, the store starts again with the old state or the new, and nothing else (promise R8)."""

from __future__ import annotations

import asyncio
import os
import random
import sys
from pathlib import Path

import pytest

from support.images import docker_archive, image_id, small_layer
from unit.transfer.archives import leftovers, load, open_store
from wherry.oci.digest import Digest
from wherry.state import content as content_state
from wherry.transfer.store import ImageStore

pytestmark = [pytest.mark.root, pytest.mark.slow]

LAYERS = [small_layer(**{f"f{number}": "x" * 300 for number in range(300)}), small_layer(big="y" * 400_000)]

WORKER = """
import asyncio, sys
from pathlib import Path
sys.path.insert(0, sys.argv[3])
from unit.transfer.archives import load, open_store
from wherry.state import image as image_state

async def main() -> None:
    archive = Path(sys.argv[2]).read_bytes()
    async with open_store(Path(sys.argv[1])) as store:
        print("ready", flush=True)
        for number in range(1000):
            (loaded,) = await load(store, archive)
            await store.snapshots.prepare(f"container{number}", store.images.get(loaded.image_id).chain[-1])
            await store.database.write(lambda connection: image_state.delete(connection, loaded.image_id))
            await store.snapshots.remove(f"container{number}")
            await store.collect()

asyncio.run(main())
"""


async def killed_after(seconds: float, root: Path, archive: Path) -> None:
    tests = str(Path(__file__).parents[2])
    worker = await asyncio.create_subprocess_exec(
        sys.executable, "-c", WORKER, str(root), str(archive), tests, stdout=asyncio.subprocess.PIPE
    )
    assert worker.stdout is not None
    assert await worker.stdout.readline() == b"ready\n"
    await asyncio.sleep(seconds)
    worker.kill()
    await worker.wait()


def check(store: ImageStore, root: Path) -> None:
    """Files and records agree, in both directions."""
    recorded = content_state.sizes(store.database)
    found = leftovers(root)
    assert found["ingest"] == []
    assert found["blobs"] == sorted(digest[7:] for digest in recorded)
    for digest, size in recorded.items():
        assert store.content.intact(digest, size)
    numbers = sorted(str(row.number) for row in store.snapshots.rows() if row.kind == "committed")
    assert sorted({*found["snapshots"]} - {"0"}) == numbers
    assert store.database.read("SELECT * FROM lease") == []
    for image in store.images.all():
        assert {Digest(blob) for blob in image.blobs} <= recorded.keys()
        assert os.listdir(store.snapshots.upper(image.chain[1])) == ["big"]
        assert len(os.listdir(store.snapshots.upper(image.chain[0]))) == 300


@pytest.mark.timeout(120)
async def test_killed_at_any_moment(tmp_path: Path) -> None:
    """Loading, using and removing an image, over and over, with SIGKILL somewhere."""
    root, archive = tmp_path / "root", tmp_path / "image.tar"
    archive.write_bytes(docker_archive(["a:1"], LAYERS))
    moments = random.Random(3)
    for _ in range(10):
        await killed_after(moments.uniform(0, 0.3), root, archive)
        async with open_store(root) as store:
            # What a container has made is the engine's to remove, which knows the container is gone.
            for row in store.snapshots.rows():
                if row.kind == "active":
                    await store.snapshots.remove(row.key)
            await asyncio.wrap_future(store.snapshots._removal.submit(lambda: None))
            check(store, root)
    async with open_store(root) as store:
        (loaded,) = await load(store, archive.read_bytes())
        assert loaded.image_id == image_id(LAYERS)
        check(store, root)
