"""What is executed, with which arguments, environment and directory (runtime-spec, config: args, env, cwd)."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from runtime.processes import PATH, Process

pytestmark = pytest.mark.root


def test_the_environment_is_the_configurations_alone(program: Process):
    """Nothing of the runtime's; the last of several values, at the first one's place; an empty value stays."""
    program.set(env=[PATH, "HOME=/h", "A=1", "B=", "C=x=y", "A=2"])
    done = program.run("env", SECRET="leaked").ok()
    assert done.lines == [PATH, "HOME=/h", "A=2", "B=", "C=x=y"]


@pytest.mark.parametrize(
    ("user", "entries", "home"),
    [
        (1000, [], "/home/user"),
        (1000, ["HOME="], "/home/user"),
        (4711, [], "/"),
        (0, ["HOME=/elsewhere"], "/elsewhere"),
    ],
)
def test_home_comes_from_the_containers_passwd(program: Process, user, entries, home):
    """When the environment has none."""
    done = program.set(user={"uid": user, "gid": 0}, env=[PATH, *entries]).run("env").ok()
    assert f"HOME={home}" in done.lines


@pytest.mark.parametrize("kind", ["missing", "fifo", "directory", "link", "huge"])
def test_a_passwd_that_is_none_does_not_matter(program: Process, kind):
    """S6 (CVE-2024-9676): a FIFO blocks nobody, a gigabyte is not read; HOME is the root directory.

    Fails without both ``_regular`` and O_NONBLOCK in ``paths.read_bounded``, and without its bound.
    """
    path = program.rootfs / "etc/passwd"
    path.unlink()
    if kind == "fifo":
        os.mkfifo(path)
    if kind == "directory":
        path.mkdir()
    if kind == "link":
        path.symlink_to("/etc/shadow")
    if kind == "huge":
        with path.open("wb") as file:
            file.write(b"root:x:0:0:root:/root:/bin/sh\n")
            file.truncate(1 << 30)
    done = program.set(env=[PATH]).run("env", before="ulimit -v 500000;").ok()
    assert "HOME=/" in done.lines


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("FOO", 'invalid environment variable: "FOO"'),
        ("=FOO", 'environment variable name can\'t be empty: "=FOO"'),
        ("A=\0b", 'environment variable value can\'t contain null(\\x00): "A=\\x00b"'),
    ],
)
def test_what_is_no_variable(program: Process, entry, message):
    """In runc's words."""
    done = program.set(env=[PATH, entry]).run("env")
    assert done.code == 1
    assert message in done.err.replace('\\"', '"').replace("\\\\", "\\")


@pytest.mark.parametrize(
    ("args", "cwd", "path"),
    [
        (["./tool"], "/opt", PATH),
        (["sub/../tool"], "/opt", PATH),
        (["tool"], "/", "PATH=/none:/opt"),
        (["/opt/tool"], "/", "PATH="),
    ],
)
def test_the_program_is_found(program: Process, args, cwd, path):
    """By its path, from the working directory, or on the configuration's PATH."""
    (program.rootfs / "opt/sub").mkdir(parents=True)
    (program.rootfs / "opt/tool").write_text("#!/bin/sh\necho $0 $1\n")
    (program.rootfs / "opt/tool").chmod(0o755)
    done = program.set(env=[path], cwd=cwd).run(*args, "x").ok()
    assert done.out.endswith("tool x\n")


@pytest.mark.parametrize(
    ("args", "path", "message"),
    [
        (["nope"], PATH, 'exec: "nope": executable file not found in $PATH'),
        ([""], PATH, 'exec: "": executable file not found in $PATH'),
        (["/nope"], PATH, 'exec: "/nope": stat /nope: no such file or directory'),
        (["./nope"], PATH, 'exec: "./nope": stat ./nope: no such file or directory'),
        (["/etc"], PATH, 'exec: "/etc": is a directory'),
        (["/etc/plain"], PATH, 'exec: "/etc/plain": permission denied'),
        (["busybox"], "PATH=", 'exec: "busybox": executable file not found in $PATH'),
        (["busybox"], "PATH=:/none", 'exec: "busybox": cannot run executable found relative to current directory'),
    ],
)
def test_a_program_that_cannot_be_run(program: Process, args, path, message):
    """In the words of Go's LookPath."""
    program.set(env=[path], cwd="/bin").run(*args).failed(message)


def test_the_working_directory_is_made(program: Process):
    """As runc does, root's and 0755; a link out of the root leads into it."""
    done = program.set(cwd="/made/for/you").shell("pwd; stat -c '%u %a' .").ok()
    assert done.lines == ["/made/for/you", "0 755"]
    (program.rootfs / "out").symlink_to("../../../../tmp")
    assert program.set(cwd="/out/x").shell("pwd -P").ok().lines == ["/tmp/x"]


def test_a_directory_that_only_root_may_enter(program: Process):
    """Entered before the ids change, because the user could not; and the other way round after."""
    (program.rootfs / "private").mkdir(mode=0o700)
    done = program.set(user={"uid": 1000, "gid": 1000}, cwd="/private").shell("pwd; ls . 2>/dev/null || echo no").ok()
    assert done.lines == ["/private", "no"]


@pytest.mark.parametrize("cwd", ["/etc/plain", "/etc/plain/x", *(f"/proc/self/fd/{number}" for number in (0, 3, 4, 7))])
def test_a_directory_that_is_none(program: Process, cwd):
    """Refused before the program runs; so is a descriptor of ours (S2, CVE-2024-21626)."""
    done = program.set(cwd=cwd).run("true")
    assert (done.code, done.out) == (1, "")


@pytest.mark.parametrize("count", [0, 1, 3])
def test_descriptors_that_are_preserved(program: Process, tmp_path: Path, count):
    """--preserve-fds: those, 0 to 2, and no other; they are the caller's files.

    S2: fails with descriptors of ours and of the caller without ``close_from`` in ``Program._close``.
    """
    redirect = " ".join(f"{number}>{tmp_path}/{number}" for number in (3, 4, 5, 6))
    script = "echo /proc/self/fd/*; test -e /proc/self/fd/3 && echo kept >&3; true"
    done = program.shell(script, options=["--preserve-fds", str(count)], redirect=redirect).ok()
    # The shell's own look at the directory is the last one.
    assert done.out.split() == [f"/proc/self/fd/{number}" for number in range(4 + count)]
    assert (tmp_path / "3").read_text() == ("kept\n" if count else "")


def test_sockets_of_the_service_manager(program: Process, tmp_path: Path):
    """LISTEN_FDS: kept, and told to the program with its own process id (sd_listen_fds(3))."""
    redirect = f"3>{tmp_path}/3 4>{tmp_path}/4"
    script = "echo $LISTEN_FDS $LISTEN_PID $$ /proc/self/fd/*"
    done = program.shell(script, before="export LISTEN_PID=$$;", redirect=redirect, LISTEN_FDS="2").ok()
    assert done.out.split() == ["2", "1", "1", *(f"/proc/self/fd/{number}" for number in range(6))]
