"""S1 (CVE-2019-5736): nobody overwrites the host's interpreter or its libraries through /proc/<pid>/exe.

The attacks run Python on purpose: the file that /proc/self/exe catches is the interpreter, and with the libraries of
the host's distribution in the image it works. They change its mode to what it is, because a write says "Text file busy"
as long as anybody on the machine executes the file, whatever protects it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from oci.yard import Oci, Yard
from security.attack import EVIL, NO_NETWORK, digests, engine_processes, files_of, loaded, with_interpreter
from support import images
from support.daemons import Daemon

pytestmark = [pytest.mark.root, pytest.mark.ours]

LIBRARIES = [path for path in ("/usr", "/lib", "/lib64") if os.path.isdir(path)]
BINDS = [word for path in LIBRARIES for word in ("-v", f"{os.path.realpath(path)}:{path}:ro")]
READ_ONLY = "Read-only file system"


@pytest.fixture
def unchanged(daemon: Daemon) -> Iterator[None]:
    """Whatever the engine's processes run from is afterwards what it was."""
    before = digests(files_of(pid for pid, _ in engine_processes(daemon)))
    assert any("python" in path.name for path in before)
    yield
    assert digests(before) == before


def evil_image() -> images.Tar:
    layer = images.Tar()
    layer.add("evil", f"#!/proc/self/exe -ISu\n{EVIL}".encode(), mode=0o755)
    layer.add("loaded", with_interpreter("/proc/self/exe"), mode=0o755)
    return layer


def fails_to_write(printed: str) -> None:
    """The interpreter was caught, and it is no use."""
    lines = printed.splitlines()
    assert [line.split()[0] for line in lines] == ["chmod", "xattr", "write", "truncate"], printed
    assert lines[0] == f"chmod {READ_ONLY}"
    assert "DONE" not in printed


@pytest.mark.parametrize("how", ["run", "exec"])
@pytest.mark.parametrize("form", ["path", "script"])
def test_the_caught_interpreter_of_the_daemon(
    daemon: Daemon, busybox_layer: bytes, unchanged: None, how: str, form: str
) -> None:
    """CVE-2019-5736: an entrypoint, or an exec, of /proc/self/exe, by its path and as ``#!``.

    Guard: ``zygote_process._spawn`` starts the zygote from a read-only mount. Seen to fail without the
    ``mount_setattr`` there.
    """
    program = ("/proc/self/exe", "-ISuc", EVIL) if form == "path" else ("/evil",)
    with loaded(daemon, busybox_layer, evil_image()) as image:
        if how == "run":
            words = ("run", "--rm", *NO_NETWORK, *BINDS, "--entrypoint", program[0], image, *program[1:])
        else:
            name = daemon.out("run", "-d", *NO_NETWORK, *BINDS, image, "sleep", "60")
            words = ("exec", name, *program)
        fails_to_write(daemon.docker(*words).stdout)
        daemon.clear()


@pytest.mark.parametrize("how", ["run", "exec"])
def test_the_interpreter_as_an_elf_interpreter(daemon: Daemon, busybox_layer: bytes, unchanged: None, how: str) -> None:
    """CVE-2019-5736: a program whose PT_INTERP is /proc/self/exe maps the file; it ends, and nothing has changed.

    Guard: as above, and the kernel, which maps private copies.
    """
    with loaded(daemon, busybox_layer, evil_image()) as image:
        if how == "run":
            done = daemon.docker("run", "--rm", *NO_NETWORK, *BINDS, image, "/loaded", check=False)
        else:
            name = daemon.out("run", "-d", *NO_NETWORK, *BINDS, image, "sleep", "60")
            done = daemon.docker("exec", name, "/loaded", check=False)
        assert done.returncode != 0
        assert done.stdout == ""
        daemon.clear()


def test_the_caught_interpreter_of_the_command(yard: Yard, oci: Oci) -> None:
    """CVE-2019-5736: the same under ``wherry-oci``, run and exec.

    Guard: ``oci/sealed.become``, called by ``oci/main.main``. Seen to fail without that call.
    """
    rootfs = yard.path / "evil"
    subprocess.run(["cp", "-a", yard.rootfs, rootfs], check=True)
    (rootfs / "evil").write_text(f"#!/proc/self/exe -ISu\n{EVIL}")
    (rootfs / "evil").chmod(0o755)
    config = yard.config("/proc/self/exe", "-ISuc", EVIL)
    config["root"] = {"path": str(rootfs)}
    config["mounts"] += [
        {"destination": path, "type": "bind", "source": os.path.realpath(path), "options": ["rbind", "ro"]}
        for path in LIBRARIES
    ]
    fails_to_write(oci.ok("run", "-b", yard.bundle(config), "box"))
    config["process"]["args"] = ["/evil"]
    fails_to_write(oci.ok("run", "-b", yard.bundle(config), "box"))
    config["process"]["args"] = ["sleep", "100"]
    oci.run(yard.bundle(config))
    try:
        fails_to_write(oci.ok("exec", "box", "/evil"))
        fails_to_write(oci.ok("exec", "box", "/proc/self/exe", "-ISuc", EVIL))
    finally:
        oci.ok("delete", "-f", "box")
        shutil.rmtree(rootfs)


def test_the_engine_seen_from_a_container_with_the_hosts_pids(daemon: Daemon, unchanged: None) -> None:
    """CVE-2019-5736 by /proc/<pid>/exe with --pid=host: no link of ours is followed; with CAP_SYS_PTRACE they lead to
    what is read-only.

    Guards: the container's capabilities are fewer than ours (``init_process_identity.become``); the read-only mount
    of ``zygote_process._spawn``. Seen to fail with ``CAP_SYS_PTRACE`` among Docker's defaults, and without the mount.
    """
    daemon.docker("run", "-d", *NO_NETWORK, "busybox", "sleep", "60")
    found = engine_processes(daemon)
    assert {name for _, name in found} >= {"wherry-zygote", "wherry-shim"}
    pids = " ".join(str(pid) for pid, _ in found)
    links = f"for p in {pids}; do for l in exe cwd root fd/0; do readlink /proc/$p/$l; done; done"
    alone = ("run", "--rm", *NO_NETWORK, "--pid", "host")
    assert daemon.docker(*alone, "busybox", "sh", "-c", f"{links}; true").stdout == ""
    pids = " ".join(str(pid) for pid, name in found if name in {"wherry-zygote", "wherry-shim"})
    change = f"for p in {pids}; do readlink /proc/$p/exe; chmod 755 /proc/$p/exe; done; true"
    seen = daemon.docker(*alone, "--cap-add", "SYS_PTRACE", "busybox", "sh", "-c", change)
    assert len(seen.stdout.splitlines()) == len(pids.split()), "the links should have been shown"
    assert seen.stderr.count(READ_ONLY) == len(pids.split()), seen.stderr


def test_process_1_that_is_ours(daemon: Daemon, unchanged: None) -> None:
    """CVE-2019-5736 by /proc/1/exe under --init: a process of the runtime that the program can see.

    Guards: ``set_dumpable`` in ``init_program.Program._become``, and for who may trace it the read-only mount of
    ``zygote_process._spawn``. Seen to fail without each.
    """
    script = "cat /proc/1/comm; for l in exe root fd/0; do readlink /proc/1/$l; done; chmod 755 /proc/1/exe; true"
    alone = ("run", "--rm", *NO_NETWORK, "--init")
    seen = daemon.docker(*alone, "busybox", "sh", "-c", script)
    assert seen.stdout == "wherry-init\n"
    assert "Permission denied" in seen.stderr
    seen = daemon.docker(*alone, "--cap-add", "SYS_PTRACE", "busybox", "sh", "-c", script)
    assert seen.stdout.split() == ["wherry-init", "/", "/"], "the links should have been shown"
    assert READ_ONLY in seen.stderr
    assert Path("/proc/self/exe").stat().st_mode & 0o777 == 0o755
