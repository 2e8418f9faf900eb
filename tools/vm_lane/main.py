"""``tools/vm``: options, one machine at a time, the caller's exit status."""

from __future__ import annotations

import argparse
import fcntl
import os
import shlex
import shutil
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from . import initramfs
from .cache import Cache, Missing
from .machine import Machine

PROJECT = Path(__file__).resolve().parents[2]
START = Path(__file__).with_name("start.sh")
UNITS = Path(__file__).with_name("systemd")
KEPT = 8  # runs whose logs stay
TIMED_OUT = 124  # as timeout(1)
NO_STATUS = 125  # as docker run: not the command's own status


def main(argv: list[str]) -> int:
    """Run one command in a guest. The result is its exit status."""
    parser = argparse.ArgumentParser(prog="tools/vm", description=__doc__)
    parser.add_argument("--timeout", type=float, default=600, metavar="SECONDS", help="end the machine after this long")
    parser.add_argument(
        "--systemd", action="store_true", help="systemd is process 1 and starts the command as a service"
    )
    parser.add_argument("--console", action="store_true", help="print the kernel's console at the end")
    parser.add_argument("command", nargs=argparse.REMAINDER, metavar="COMMAND ...")
    options = parser.parse_args(argv)
    command = options.command[1:] if options.command[:1] == ["--"] else options.command
    if not command:
        parser.error("which command?")
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    try:
        return run(command, systemd=options.systemd, timeout=options.timeout, console=options.console)
    except Missing as missing:
        print(f"tools/vm: {missing}", file=sys.stderr)
        return NO_STATUS


def run(command: list[str], *, systemd: bool, timeout: float, console: bool) -> int:
    """The exit status of ``command``, run in a fresh guest."""
    if os.geteuid() != 0:
        raise Missing("must be run as root: the guest reads the host's root file system")
    if shutil.which("qemu-system-x86_64") is None:
        raise Missing("qemu-system-x86_64 is not on this machine: install qemu-system-x86")
    cache = Cache(PROJECT / ".cache" / "vm")
    cache.folder.mkdir(parents=True, exist_ok=True)
    with _alone(cache.folder / "lock", shlex.join(command)):
        cache.prepare()
        initramfs.write(cache)
        folder = _new_run(cache.folder / "runs")
        (folder / "command").write_text(script(command, systemd=systemd))
        shutil.copy(START, folder / "start")
        shutil.copytree(UNITS, folder / "systemd")
        _snapshot(cache.checkout)
        in_time = Machine(cache=cache, run=folder, project=PROJECT, systemd=systemd).execute(timeout)
    log = (folder / "console.log").read_text(errors="replace")
    if console:
        print(log, file=sys.stderr)
    if not in_time:
        print(f"tools/vm: not done after {timeout:g} seconds; its console is in {folder}", file=sys.stderr)
        return TIMED_OUT
    if not (folder / "status").exists():
        print(f"tools/vm: the guest ended without a status; the end of {folder}/console.log:", file=sys.stderr)
        print(*log.splitlines()[-20:], sep="\n", file=sys.stderr)
        return NO_STATUS
    return int((folder / "status").read_text())


def script(command: list[str], *, systemd: bool) -> str:
    """What the guest's shell runs: the caller's command where the caller stands, in a known environment."""
    here = Path.cwd()
    folder = here if here.is_relative_to(PROJECT) else PROJECT
    environ = {
        "PATH": f"{PROJECT}/.venv/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": "/root",
        "LANG": "C.UTF-8",
        "TERM": "dumb",
        "PYTHONDONTWRITEBYTECODE": "1",
        # Importing hypothesis takes ten seconds there, and a cache vanishes with the guest.
        "PYTEST_ADDOPTS": "-p no:hypothesispytest -p no:cacheprovider",
        "WHERRY_VM": "systemd" if systemd else "plain",
    }
    settings = "".join(f"export {name}={shlex.quote(value)}\n" for name, value in environ.items())
    return f"{settings}cd {shlex.quote(str(folder))} || exit 125\nexec {shlex.join(command)}\n"


def _snapshot(top: Path) -> None:
    """Copy the checkout, without what is hidden in it, to its own path below ``top``.

    The guest takes it for the checkout, so that files which are edited meanwhile do not change under it. (Its 9p
    client, which caches sizes, would read them cut off.)
    """
    shutil.rmtree(top, ignore_errors=True)
    copy = top / PROJECT.relative_to("/")
    copy.mkdir(parents=True)
    for entry in PROJECT.iterdir():
        if entry.is_dir() and not entry.name.startswith("."):
            _copy(entry, copy / entry.name)
        elif entry.is_file():
            shutil.copy2(entry, copy / entry.name)


def _copy(source: Path, target: Path, *, again: int = 3) -> None:
    """A tree, while others may be saving files in it; what is only there for a moment is not missed."""
    try:
        shutil.copytree(source, target, symlinks=True, dirs_exist_ok=True)
    except shutil.Error:
        if again == 0:
            raise
        shutil.rmtree(target, ignore_errors=True)
        _copy(source, target, again=again - 1)


def _new_run(runs: Path) -> Path:
    """An empty folder with the next number; the oldest ones go."""
    runs.mkdir(exist_ok=True)
    numbers = sorted(int(path.name) for path in runs.iterdir() if path.name.isdigit())
    for number in numbers[: -KEPT + 1]:
        shutil.rmtree(runs / str(number))
    folder = runs / str(numbers[-1] + 1 if numbers else 1)
    folder.mkdir()
    return folder


@contextmanager
def _alone(path: Path, command: str) -> Iterator[None]:
    """Hold the lock that lets one machine run at a time; waits for the other and says so."""
    with path.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            print(f"tools/vm: waiting for another machine: {file.read().strip()}", file=sys.stderr)
            fcntl.flock(file, fcntl.LOCK_EX)
        file.truncate(0)
        file.write(f"{command} (process {os.getpid()})\n")
        file.flush()
        yield
