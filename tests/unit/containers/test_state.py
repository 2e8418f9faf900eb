"""The states of a container and the moves between them."""

from __future__ import annotations

import pytest

from wherry.engine.containers.state import State, Status
from wherry.lib.errors import Internal


def test_a_start_forgets_the_last_exit():
    ended = State(status=Status.EXITED, exit_code=3, error="broken", oom_killed=True, finished_at=5)
    running = ended.running(pid=42, started_at=9)
    assert (running.status, running.pid, running.exit_code, running.error) == (Status.RUNNING, 42, 0, "")
    assert running.finished_at == 5


def test_a_failed_first_start_leaves_it_created():
    assert State().failed_start(code=127, error="no such file").status is Status.CREATED


def test_a_failed_later_start_leaves_it_exited():
    assert State(status=Status.EXITED).failed_start(code=126, error="denied").status is Status.EXITED


@pytest.mark.parametrize("status", [Status.CREATED, Status.EXITED, Status.REMOVING, Status.DEAD])
def test_only_what_runs_can_end(status):
    with pytest.raises(Internal, match="illegal container state change"):
        State(status=status).moved(Status.PAUSED)
