"""Who a container runs as, whatever its passwd and group files say."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherry.runtime.users import MAX_FILE, MAX_ID, Identity, UserError, resolve

PASSWD = b"""\
root:x:0:0:root:/root:/bin/sh
toor:x:0:0:second:/toor:/bin/sh
daemon:x:1:1::/usr/sbin:/bin/false
app:x:1000:1000::/home/app:/bin/sh
1000:x:0:0::/evil:/bin/sh
0:x:4242:4242::/zero:/bin/sh
nohome:x:1001:1001:::
broken
nan:x:abc:5::/x:
"""
GROUP = b"""\
root:x:0:
wheel:x:10:root,app
app:x:1000:
audio:x:29:app,daemon
29:x:77:
1234:x:55:
"""


@pytest.mark.parametrize(
    ("user", "expected"),
    [
        ("", Identity(0, 0, (0, 10), "/root")),
        ("root", Identity(0, 0, (0, 10), "/root")),
        ("0", Identity(0, 0, (0, 10), "/root")),
        ("toor", Identity(0, 0, (0,), "/root")),
        ("app", Identity(1000, 1000, (1000, 10, 29), "/home/app")),
        ("1000", Identity(1000, 1000, (1000, 10, 29), "/home/app")),
        ("app:audio", Identity(1000, 29, (29,), "/home/app")),
        ("app:5", Identity(1000, 5, (5,), "/home/app")),
        ("app:", Identity(1000, 1000, (1000, 10, 29), "/home/app")),
        ("5000", Identity(5000, 0, (0,), "/")),
        ("5000:5000", Identity(5000, 5000, (5000,), "/")),
        (":audio", Identity(0, 29, (29,), "/root")),
        ("nohome", Identity(1001, 1001, (1001,), "/")),
        ("4242", Identity(4242, 4242, (4242,), "/zero")),
    ],
)
def test_dockers_rules(user: str, expected: Identity) -> None:
    """A number is an id even when an entry is named by it; the first entry wins; an explicit group stands alone."""
    assert resolve(user, (), PASSWD, GROUP) == expected


@pytest.mark.parametrize(
    ("group_add", "groups"),
    [
        (("audio",), (0, 10, 29)),
        (("5",), (0, 10, 5)),
        (("1234",), (0, 10, 55)),
        (("10", "wheel"), (0, 10)),
    ],
)
def test_added_groups(group_add: tuple[str, ...], groups: tuple[int, ...]) -> None:
    """``--group-add`` takes names and numbers, a name first, and no group twice."""
    assert resolve("root", group_add, PASSWD, GROUP).groups == groups


@pytest.mark.parametrize(
    ("user", "group_add", "message"),
    [
        ("foo", (), "unable to find user foo: no matching entries in passwd file"),
        ("nan", (), "unable to find user nan: no matching entries in passwd file"),
        ("app:bar", (), "unable to find group bar: no matching entries in group file"),
        ("app", ("bar",), "Unable to find group bar: no matching entries in group file"),
        ("-1", (), f"uids and gids must be in range 0-{MAX_ID}"),
        ("4294967296", (), f"uids and gids must be in range 0-{MAX_ID}"),
        ("2147483648", (), f"uids and gids must be in range 0-{MAX_ID}"),
        ("0:4294967296", (), f"uids and gids must be in range 0-{MAX_ID}"),
        ("0", ("-5",), f"uids and gids must be in range 0-{MAX_ID}"),
        ("99999999999999999999", (), "unable to find user 99999999999999999999: no matching entries in passwd file"),
        ("٣", (), "unable to find user ٣: no matching entries in passwd file"),
    ],
)
def test_refusals(user: str, group_add: tuple[str, ...], message: str) -> None:
    """In Docker's words; an id of more than 31 bits never wraps round to root."""
    with pytest.raises(UserError) as refusal:
        resolve(user, group_add, PASSWD, GROUP)
    assert str(refusal.value) == message


def test_an_entry_cannot_wrap_to_root() -> None:
    """Nor by way of the image's own passwd file."""
    with pytest.raises(UserError, match="must be in range"):
        resolve("evil", (), b"evil:x:4294967296:0::/:", b"")
    with pytest.raises(UserError, match="must be in range"):
        resolve("evil", (), b"evil:x:5:0::/:", b"big:x:4294967296:evil\n")


def test_without_files_only_numbers_work() -> None:
    """An image from scratch has neither file."""
    assert resolve("", (), b"", b"") == Identity(0, 0, (0,), "/")
    assert resolve("12:34", ("56",), b"", b"") == Identity(12, 34, (34, 56), "/")
    with pytest.raises(UserError):
        resolve("root", (), b"", b"")


@pytest.mark.parametrize("filler", [b"\n", b":", b"a:x:1:a,a\n", b"\0", b"x" * 70000 + b"\n"])
def test_hostile_files_cost_little(filler: bytes) -> None:
    """As large as allowed in bounded time; larger is refused."""
    file = (filler * (MAX_FILE // len(filler) + 1))[:MAX_FILE]
    began = time.monotonic()
    resolve("5", (), file, file)
    assert time.monotonic() - began < 10
    with pytest.raises(UserError, match="larger than"):
        resolve("5", (), b"", file + b"x")


@given(
    st.text(max_size=20), st.lists(st.text(max_size=8), max_size=3), st.binary(max_size=300), st.binary(max_size=300)
)
def test_any_bytes_give_an_identity_or_a_refusal(user: str, add: list[str], passwd: bytes, group: bytes) -> None:
    """No other exception, and no id that the kernel could cut down."""
    try:
        identity = resolve(user, add, passwd, group)
    except UserError:
        return
    assert all(0 <= number <= MAX_ID for number in (identity.uid, identity.gid, *identity.groups))
    assert identity.groups[0] == identity.gid
    assert len(set(identity.groups)) == len(identity.groups)


@given(st.integers(0, MAX_ID), st.binary(max_size=300))
def test_a_number_is_always_that_uid(uid: int, passwd: bytes) -> None:
    """No passwd file can make ``--user 1000`` anybody else."""
    try:
        assert resolve(str(uid), (), passwd, b"").uid == uid
    except UserError as refusal:
        assert "must be in range" in str(refusal)  # noqa: PT017  the entry's group may be out of range
