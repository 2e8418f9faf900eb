"""No space left: an error, never corruption, and nothing half-made stays (promise R12)."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.images import docker_archive, small_layer
from unit.transfer.archives import EMPTY, chunks, leftovers, load, open_store
from wherry.lib.errors import Internal
from wherry.transfer.importing import import_config, import_rootfs

pytestmark = pytest.mark.root


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "disk"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(place)], check=True)
    yield place
    subprocess.run(["umount", str(place)], check=True)


@pytest.mark.parametrize("size", [2_500_000, 5_000_000])
async def test_a_full_disk_is_an_error(small_disk: Path, size: int) -> None:
    """Full while the archive comes in, and full while its layer is unpacked; what fits is loaded afterwards."""
    async with open_store(small_disk / "root") as store:
        layer = small_layer(big="x" * size)
        with pytest.raises(Internal, match="no space left on device"):
            await load(store, docker_archive(["a:1"], [layer]))
        with pytest.raises(Internal, match="no space left on device"):
            await import_rootfs(store, chunks(layer), import_config({}, comment="", architecture="", os=""), ())
        assert store.database.read("SELECT * FROM content") == []
        assert len(await load(store, docker_archive(["b:1"], [small_layer(a="1")]))) == 1
    async with open_store(small_disk / "root") as store:
        assert len(store.images.all()) == 1
        assert len(leftovers(small_disk / "root")["blobs"]) == 2
    assert leftovers(small_disk / "root")["ingest"] == EMPTY["ingest"]
