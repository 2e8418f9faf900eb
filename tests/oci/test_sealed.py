"""S1 (CVE-2019-5736): nobody overwrites the host's interpreter through a process that the runtime has forked.

The guard is ``sealed.become``. Without it (``main`` calling ``app.run`` at once) /proc/<init>/exe is the host's own
file, which can be changed as soon as nobody executes it: these tests fail then.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from oci.yard import OURS, Oci, Yard
from wherry.runtime.oci import sealed

pytestmark = pytest.mark.root


def _interpreter() -> Path:
    """What the console script is run by."""
    return Path(OURS.read_text().splitlines()[0].removeprefix("#!").strip()).resolve()


def test_init_runs_from_a_read_only_mount(yard: Yard, oci: Oci):
    """Not even the host's root can write to it through /proc, and it is the same file: nothing is copied."""
    oci.create(yard.bundle(yard.config("sleep", "100")))
    exe = f"/proc/{oci.state()['pid']}/exe"
    with pytest.raises(OSError, match="Read-only file system"):
        os.chmod(exe, 0o755)  # opening it says "Text file busy" as long as anybody executes the file
    assert os.statvfs(exe).f_flag & os.ST_RDONLY
    assert os.stat(exe).st_ino == _interpreter().stat().st_ino
    oci.ok("delete", "box")


def test_a_container_that_executes_its_runtime(yard: Yard, oci: Oci):
    """An entrypoint of /proc/self/exe runs, or fails, without a way to the host's file."""
    before = hashlib.sha256(_interpreter().read_bytes()).hexdigest()
    rootfs = yard.path / "evil"
    subprocess.run(["cp", "-a", yard.rootfs, rootfs], check=True)
    (rootfs / "bin/evil").write_text("#!/proc/self/exe\n")
    (rootfs / "bin/evil").chmod(0o755)
    watcher = "while :; do for exe in /proc/[0-9]*/exe; do echo overwritten 2>/dev/null > $exe; done 2>/dev/null; done"
    config = yard.config("sh", "-c", watcher)
    config["root"] = {"path": str(rootfs)}
    oci.run(yard.bundle(config))
    for _ in range(5):
        assert oci("exec", "box", "/bin/evil").code != 0
        assert oci("exec", "box", "true").code == 0
    oci.ok("delete", "-f", "box")
    config["process"]["args"] = ["/bin/evil"]
    assert oci("run", "-b", yard.bundle(config), "box").code != 0
    assert hashlib.sha256(_interpreter().read_bytes()).hexdigest() == before


def test_the_copy_in_memory_cannot_be_changed(yard: Yard):
    """What is used where a mount cannot be had."""
    del yard
    fd = sealed._sealed_copy(sys.executable)
    with pytest.raises(PermissionError):
        os.pwrite(fd, b"overwritten", 0)
    with pytest.raises(PermissionError):
        os.ftruncate(fd, 0)
    said = subprocess.run(
        [sys.executable, "-ISE", "-c", "import os; print(os.readlink('/proc/self/exe'))"],
        executable=f"/proc/self/fd/{fd}",
        pass_fds=(fd,),
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert said == "/memfd:wherry-oci (deleted)\n"
    os.close(fd)


def test_nothing_of_it_is_left_in_the_environment(yard: Yard, oci: Oci):
    """The second start is of the same process, with the caller's environment for hooks and no descriptor more."""
    record = yard.path / "record"
    config = yard.config("true")
    config["hooks"] = {"createRuntime": [{"path": "/bin/sh", "args": ["sh", "-c", f"env | grep MARK > {record}"]}]}
    assert oci("run", "-b", yard.bundle(config), "box", env={**os.environ, "MARK": "kept"}).code == 0
    assert record.read_text() == "MARK=kept\n"
