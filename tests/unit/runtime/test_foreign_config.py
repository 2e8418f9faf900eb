"""The process that another runtime is told of: ids, HOME and rights, out of the container's own, hostile, files."""

from __future__ import annotations

import os

import pytest

from wherry.runtime.foreign_config import complete_process, make_directory
from wherry.runtime.init_errors import StartError

PASSWD = "root:x:0:0:root:/root:/bin/sh\nalice:x:1000:1000::/home/alice:/bin/sh\n"
GROUP = "root:x:0:\nalice:x:1000:\nwheel:x:10:alice\n"
RIGHTS = ["CAP_KILL", "CAP_CHOWN"]


@pytest.fixture
def root(tmp_path):
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/passwd").write_text(PASSWD)
    (tmp_path / "etc/group").write_text(GROUP)
    fd = os.open(tmp_path, os.O_PATH | os.O_DIRECTORY)
    yield fd
    os.close(fd)


def completed(root, user="", group_add=(), **process):
    given = {
        "user": {"uid": 0, "gid": 0, "umask": 18},
        "env": ["A=b"],
        "capabilities": {"bounding": RIGHTS, "effective": RIGHTS, "permitted": RIGHTS},
        **process,
    }
    complete_process(given, {"user": user, "group_add": list(group_add)}, root)
    return given


def test_root_is_the_default(root):
    """With all rights, a home, and what else was said of the user."""
    process = completed(root)
    assert process["user"] == {"uid": 0, "gid": 0, "umask": 18, "additionalGids": [0]}
    assert process["env"] == ["A=b", "HOME=/root"]
    assert process["capabilities"]["effective"] == RIGHTS


def test_a_user_by_name(root):
    """All groups, the home, and no rights but the bound of those to be had: as execve(2) leaves them."""
    process = completed(root, "alice", ["4242"])
    assert process["user"] == {"uid": 1000, "gid": 1000, "umask": 18, "additionalGids": [1000, 10, 4242]}
    assert process["env"][-1] == "HOME=/home/alice"
    rights = process["capabilities"]
    assert (rights["bounding"], rights["effective"], rights["permitted"], rights["ambient"]) == (RIGHTS, [], [], [])


def test_home_that_is_given_stays(root):
    assert completed(root, "alice", env=["HOME=/elsewhere"])["env"] == ["HOME=/elsewhere"]


def test_an_unknown_user_is_dockerds_error(root):
    with pytest.raises(StartError, match=r"^unable to find user bob: no matching entries in passwd file$") as failure:
        completed(root, "bob")
    assert failure.value.engine


@pytest.mark.parametrize("kind", ["fifo", "link", "huge"])
def test_hostile_files(root, tmp_path, kind):
    """A FIFO does not block, a link does not leave the root, a huge file is not read to its end."""
    passwd = tmp_path / "etc/passwd"
    passwd.unlink()
    if kind == "fifo":
        os.mkfifo(passwd)
    elif kind == "link":
        passwd.symlink_to("../../../../../../etc/passwd")  # the host's has a daemon
    else:
        with passwd.open("wb") as file:
            file.truncate(1 << 40)
    with pytest.raises(StartError):
        completed(root, "daemon")


def test_the_working_directory_is_made_inside(root, tmp_path):
    """Through links too, which do not lead out; a file in its place is dockerd's error."""
    make_directory("/a/b", root, (os.geteuid(), os.getegid()))
    assert (tmp_path / "a/b").is_dir()
    (tmp_path / "out").symlink_to("/../../..")
    make_directory("/out/inside", root, (os.geteuid(), os.getegid()))
    assert (tmp_path / "inside").is_dir()
    with pytest.raises(StartError, match=r"^Cannot mkdir: /etc/passwd is not a directory$"):
        make_directory("/etc/passwd", root, (os.geteuid(), os.getegid()))
