"""S2 (CVE-2024-21626): no directory of the host's is reached through what the runtime has open, or through itself."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from oci.yard import BUSYBOX, TIMEOUT, Oci, Yard
from security.attack import NO_NETWORK, loaded
from support import images
from support.daemons import Daemon

pytestmark = pytest.mark.root

NUMBERS = range(14)
CLIMB = "pwd -P; for up in . .. ../.. ../../..; do cat $up{secret} ../../../..{secret}; done 2>/dev/null; true"


@pytest.fixture
def secret(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A file of the host's that everybody may read who finds it; beside it a program."""
    directory = tmp_path_factory.mktemp("secret")
    path = directory / "secret"
    path.write_text("SECRET\n")
    shutil.copy(BUSYBOX, directory / "sh")
    yield path
    assert path.read_text() == "SECRET\n"


@pytest.mark.parametrize("through", ["path", "link in the image"])
def test_a_working_directory_through_a_descriptor(
    daemon: Daemon, busybox_layer: bytes, secret: Path, through: str
) -> None:
    """CVE-2024-21626: -w /proc/self/fd/N of run and exec, and a link to it in the image, for every N there could be.

    Guards, each alone enough: ``close_all_but`` in ``init._enter_container`` and ``close_from`` in
    ``init_program.Program._close`` run before the directory is entered, ``verify_directory`` after it; for a new
    container also ``paths.make_in``, which follows no magic link. And nothing that leads out is open to begin with:
    seen to fail without all of them where ``init.main`` was made to open "/" as 13 and 11.
    """
    layer = images.Tar()
    for number in NUMBERS:
        layer.link(f"w{number}", f"/proc/self/fd/{number}")
    place = "/proc/self/fd/{}" if through == "path" else "/w{}"
    look = ("sh", "-c", CLIMB.format(secret=secret))
    with loaded(daemon, busybox_layer, layer) as image:
        name = daemon.out("run", "-d", *NO_NETWORK, image, "sleep", "100")
        for number in NUMBERS:
            where = place.format(number)
            seen = daemon.docker("exec", "-w", where, name, *look, check=False).stdout
            if number % 2:
                seen += daemon.docker("run", "--rm", *NO_NETWORK, "-w", where, image, *look, check=False).stdout
            assert "SECRET" not in seen, where
            assert "unreachable" not in seen, where
        daemon.clear()


@pytest.mark.parametrize("how", ["run", "exec"])
def test_a_directory_that_the_caller_has_left_open(yard: Yard, oci: Oci, secret: Path, how: str) -> None:
    """CVE-2024-21626: who calls ``wherry-oci`` leaks descriptors of "/"; as the working directory, and as the program.

    Guard: ``close_from`` in ``init_program.Program._close``. Seen to fail without it (the program; the directory
    without ``verify_directory`` too).
    """
    if how == "exec":
        oci.run(yard.bundle(yard.config("sleep", "100")))
    for number in (3, 5, 7, 9):
        look = ["/bin/sh", "-c", CLIMB.format(secret=secret)]
        program = [f"/proc/self/fd/{number}{secret.parent}/sh", "-c", "echo SECRET"]
        for cwd, args in ((f"/proc/self/fd/{number}", look), ("/", program)):
            if how == "run":
                config = yard.config(*args, cwd=cwd)
                words = oci.argv("run", "-b", yard.bundle(config, "other"), "other")
            else:
                words = oci.argv("exec", "--cwd", cwd, "box", *args)
            assert "SECRET" not in with_leaks(words)
    if how == "exec":
        oci.ok("delete", "-f", "box")


def with_leaks(words: list[str]) -> str:
    """What a command prints that has "/" open as 3 to 12."""

    def leak() -> None:
        root = os.open("/", os.O_RDONLY)
        for number in range(3, 13):
            os.dup2(root, number)
        os.closerange(13, 100)

    done = subprocess.run(
        words,
        preexec_fn=leak,
        close_fds=False,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=TIMEOUT,
        check=False,
    )
    return done.stdout.decode()


SPY = """
secret={secret}
while :; do
  n=0
  while [ $n -lt 30 ]; do
    n=$((n+1))
    {{ read -r x < /proc/$n/root$secret; }} && echo $n root $x
    {{ read -r x < /proc/$n/cwd$secret; }} && echo $n cwd $x
    for f in 3 4 5 6 7 8 9; do {{ read -r x < /proc/$n/fd/$f$secret; }} && echo $n fd $x; done
  done
done 2>/dev/null
"""


def test_an_exec_shows_nobody_the_hosts_root(daemon: Daemon, secret: Path) -> None:
    """Kin of CVE-2016-9962: a program with CAP_SYS_PTRACE follows /proc/<pid>/root, cwd and fd of whoever is on the
    way in.

    Guard: ``init._enter_container`` joins all namespaces, and closes what leads out, before it forks whom the container
    sees. Seen to fail when ``Start._choose_pid_namespace`` enters the container's pid namespace first.
    """
    spy = SPY.format(secret=secret)
    name = daemon.out("run", "-d", *NO_NETWORK, "--cap-add", "SYS_PTRACE", "busybox", "sh", "-c", spy)
    for _ in range(8):
        daemon.docker("exec", name, "true")
    assert daemon.docker("logs", name).stdout == ""


def test_an_exec_of_the_command_shows_nobody_the_hosts_root(yard: Yard, oci: Oci, secret: Path) -> None:
    """The same under ``wherry-oci exec``."""
    config = yard.config("sh", "-c", f"({SPY.format(secret=secret)}) > /dev/seen")
    for kind in config["process"]["capabilities"].values():
        kind.append("CAP_SYS_PTRACE")
    oci.run(yard.bundle(config))
    try:
        for _ in range(8):
            oci.ok("exec", "box", "true")
        assert oci.ok("exec", "box", "cat", "/dev/seen") == ""
    finally:
        oci.ok("delete", "-f", "box")
