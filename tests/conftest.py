"""What every lane shares: root or a loud skip, and a daemon for the tests that compare our client with docker's."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from support import images
from support.commands import find, search_path
from support.daemons import Daemon, Wherryd

CLIENT_DAEMON = pytest.StashKey[Daemon]()


def pytest_configure() -> None:
    """The reference's programs are found wherever they were unpacked; a run that is ended takes its daemons along."""
    os.environ["PATH"] = search_path()
    signal.signal(signal.SIGTERM, _leave)


def _leave(number: int, _frame: object) -> None:
    """SIGTERM ends the run as ctrl-C does: through every fixture's end."""
    pytest.exit(f"ended by signal {number}", returncode=128 + number)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Without root the tests that need it are skipped, loudly: ``-ra`` lists them with this reason."""
    if os.geteuid() == 0:
        return
    for item in items:
        if "root" in item.keywords or {"integration", "interop", "runtime", "network"} & {*item.path.parent.parts[-1:]}:
            item.add_marker(pytest.mark.skip(reason="needs root"))


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> None:
    """The client's tests ask at import for a daemon in $WHERRY_TEST_HOST; give them one of their own."""
    config = parent.config
    if file_path.parent.name != "cli" or file_path.parent.parent.name != "tests" or CLIENT_DAEMON in config.stash:
        return
    if "WHERRY_TEST_HOST" in os.environ or os.geteuid() != 0 or find("docker") is None or config.option.collectonly:
        return
    daemon = Wherryd()
    config.stash[CLIENT_DAEMON] = daemon
    daemon.start()
    daemon.docker("load", input=images.docker_archive(["busybox:latest"], [images.busybox_layer()]))
    os.environ["WHERRY_TEST_HOST"] = daemon.host


def pytest_sessionfinish(session: pytest.Session) -> None:
    """That daemon stops and must leave nothing, or the run has failed."""
    daemon = session.config.stash.get(CLIENT_DAEMON, None)
    if daemon is None or not daemon.running:
        return
    daemon.clear()
    daemon.stop()
    if left := daemon.settled(daemon.leftovers):
        print("left on the machine after the client's tests:", *left, sep="\n")
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_unconfigure(config: pytest.Config) -> None:
    """Whatever happened, nothing of it stays."""
    if (daemon := config.stash.get(CLIENT_DAEMON, None)) is not None:
        daemon.discard()
        os.environ.pop("WHERRY_TEST_HOST", None)
