"""``--userns-remap``: the setting, the files of subordinate ids, and the data root that goes with them."""

from __future__ import annotations

import grp
import os
import pwd
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherry.daemon.userns_remap import load_maps, next_free, own_root, parse_ranges
from wherry.lib.errors import InvalidArgument
from wherry.runtime.id_maps import NO_MAPS, IdMaps, IdRange


@pytest.fixture
def user() -> pwd.struct_passwd:
    """Somebody of this machine with a group of the same name and number."""
    for entry in pwd.getpwall():
        try:
            if entry.pw_uid and grp.getgrnam(entry.pw_name).gr_gid == entry.pw_uid:
                return entry
        except KeyError:
            continue
    pytest.skip("no user here has a group of the same name and number")


def etc(directory: Path, uids: str, gids: str | None = None) -> Path:
    (directory / "subuid").write_text(uids)
    (directory / "subgid").write_text(uids if gids is None else gids)
    return directory


def test_a_user_by_any_name(tmp_path: Path, user: pwd.struct_passwd) -> None:
    """By name or number, with a group or without; ranges of the name and of the number, one after the other."""
    files = etc(tmp_path, f"other:1:1\n{user.pw_name}:100000:65536\n{user.pw_uid}:500000:10\n")
    expected = (IdRange(0, 100_000, 65_536), IdRange(65_536, 500_000, 10))
    for setting in (
        user.pw_name,
        str(user.pw_uid),
        f"{user.pw_name}:{user.pw_name}",
        f"{user.pw_uid}:{user.pw_uid}",
    ):
        assert load_maps(setting, etc=files) == IdMaps(uids=expected, gids=expected)


@pytest.mark.parametrize("setting", ["", "root", "0:0"])
def test_nothing_to_map(tmp_path: Path, setting: str) -> None:
    """Root as itself is no map."""
    assert load_maps(setting, etc=etc(tmp_path, "root:100000:65536\n")) == NO_MAPS


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("a:b:c", 'Invalid user/group specification in --userns-remap: "a:b:c"'),
        ("nobody-such", 'Error during uid lookup for "nobody-such"'),
        ("4000000", "Uid 4000000 has no entry in /etc/passwd"),
        ("99999999999999999999", "Uid 99999999999999999999 has no entry"),
        ("root:none-such", 'Error during groupname lookup for "none-such"'),
        ("root:4000000", "Gid 4000000 has no entry"),
    ],
)
def test_nobody_of_that_name(tmp_path: Path, setting: str, message: str) -> None:
    with pytest.raises(InvalidArgument, match=message):
        load_maps(setting, etc=etc(tmp_path, ""))


def test_a_user_without_subordinate_ids(tmp_path: Path, user: pwd.struct_passwd) -> None:
    files = etc(tmp_path, f"{user.pw_name}:100000:65536\n", "other:100000:65536\n")
    with pytest.raises(InvalidArgument, match=f'no subgid ranges found for user "{user.pw_name}"'):
        load_maps(user.pw_name, etc=files)
    (tmp_path / "subuid").unlink()
    with pytest.raises(InvalidArgument, match=f"open {tmp_path}/subuid: no such file or directory"):
        load_maps(user.pw_name, etc=files)


def test_lines_that_are_none() -> None:
    text = "# a:1:2\n\na:1:2 # mine\na:-1:5\na:5:0\na:x:y\na:1\na:4294967290:100\nb:7:8\n"
    assert parse_ranges(text, ("a",)) == [(1, 2)]
    assert parse_ranges(text, ()) == [(1, 2), (7, 8)]


@given(st.text(max_size=200))
def test_any_text_is_read(text: str) -> None:
    """Whatever stands there, ranges fit in 32 bits."""
    for first, count in parse_ranges(text, ()):
        assert 0 <= first < first + count <= 1 << 32


@pytest.mark.parametrize(
    ("taken", "free"),
    [
        ([], 100_000),
        ([(100_000, 65_536)], 165_536),
        ([(165_536, 10), (100_000, 65_536)], 165_546),
        ([(1, 5)], 100_000),
        ([(150_000, 65_536)], 215_536),
    ],
)
def test_where_a_new_range_fits(taken: list[tuple[int, int]], free: int) -> None:
    assert next_free(taken) == free


@pytest.mark.root
def test_the_data_root_of_the_maps(tmp_path: Path) -> None:
    """One for each pair of ids, which the mapped root may pass through and nobody else."""
    maps = IdMaps(uids=(IdRange(0, 100_000, 65_536),), gids=(IdRange(0, 200_000, 65_536),))
    own = own_root(tmp_path / "data", maps)
    assert own == tmp_path / "data" / "100000.200000"
    for directory in (own, own.parent):
        found = os.stat(directory)
        assert (found.st_uid, found.st_gid, found.st_mode & 0o777) == (0, 200_000, 0o710)
    assert own_root(tmp_path / "data", NO_MAPS) == tmp_path / "data"
