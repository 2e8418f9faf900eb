"""Blobs are whole or not there (promise R8)."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from wherry.content import ContentStore
from wherry.lib.errors import Internal, NotFound
from wherry.oci.digest import digest_of


@pytest.fixture
def store(tmp_path: Path) -> ContentStore:
    store = ContentStore(tmp_path / "content")
    store.recover({})
    return store


def test_a_published_blob_is_read_back(store: ContentStore) -> None:
    blob = store.put(b"hello")
    assert store.publish([blob]) == {digest_of(b"hello"): 5}
    blob.discard()
    assert store.read(digest_of(b"hello"), 10) == b"hello"


def test_a_blob_that_was_not_published_leaves_nothing(store: ContentStore, tmp_path: Path) -> None:
    with store.stage() as blob:
        blob.write(b"half")
    assert os.listdir(tmp_path / "content/ingest") == []
    with pytest.raises(NotFound, match=digest_of(b"half")):
        store.open(digest_of(b"half"))


def test_start_up_removes_what_is_not_recorded(store: ContentStore, tmp_path: Path) -> None:
    """A crash leaves staged files, and published ones that were not recorded yet."""
    store.stage().write(b"leftover")
    store.publish([store.put(b"unrecorded")])
    kept = store.publish([store.put(b"kept")])
    assert ContentStore(tmp_path / "content").recover(kept) == []
    assert os.listdir(tmp_path / "content/ingest") == []
    assert os.listdir(tmp_path / "content/blobs/sha256") == [digest_of(b"kept")[7:]]


def test_start_up_names_damage_and_goes_on(store: ContentStore) -> None:
    """A file of another size, and one that is gone, are named by digest."""
    recorded = store.publish([store.put(b"cut short"), store.put(b"lost")])
    store.path(digest_of(b"cut short")).write_bytes(b"cut")
    store.path(digest_of(b"lost")).unlink()
    said = {str(damage) for damage in store.recover(recorded)}
    assert said == {
        f"blob {digest_of(b'cut short')} has 3 bytes instead of 9",
        f"blob {digest_of(b'lost')} is missing",
    }


def test_a_small_blob_is_verified_when_read(store: ContentStore) -> None:
    store.publish([store.put(b"config")])
    store.path(digest_of(b"config")).write_bytes(b"c0nfig")
    with pytest.raises(Internal, match=f"blob {digest_of(b'config')} is damaged"):
        store.read(digest_of(b"config"), 100)


def test_a_digest_is_never_a_path(store: ContentStore) -> None:
    with pytest.raises(Internal):
        store.path("sha256:../../../etc/passwd")  # type: ignore[arg-type]


@pytest.mark.usefixtures("store")
def test_modes_keep_others_out(tmp_path: Path) -> None:
    """S10: what images bring may be setuid."""
    assert (tmp_path / "content").stat().st_mode & 0o777 == 0o700
