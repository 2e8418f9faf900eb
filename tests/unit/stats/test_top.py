"""``docker top``: rows as ps writes them, and only the container's."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest

from wherry.engine.containers.processes import Process, list_processes, parse_stat, row
from wherry.engine.containers.top import check_ps_args, container_top, parse_ps_output
from wherry.lib.errors import Internal, InvalidArgument

DAY = 86_400
needs_ps = pytest.mark.skipif(shutil.which("ps") is None, reason="no ps here")


def process(**more: object) -> Process:
    values: dict[str, object] = {"pid": 5, "uid": 0, "parent": 1, "state": "S", "terminal": 0, "cpu": 0, "started": 0}
    values |= {"name": "sh", "arguments": "sh -c x"}
    return Process(**(values | more))  # type: ignore[arg-type]


def test_a_row() -> None:
    """User, ids, share, start, terminal, time, command."""
    found = row(process(cpu=9000, started=0), uptime=100.0, now=1_000_000.0)
    assert found[:4] == ["root", "5", "1", "90"]
    assert found[5:] == ["?", "00:01:30", "sh -c x"]


@pytest.mark.parametrize(
    ("more", "command"),
    [
        ({"arguments": ""}, "[sh]"),
        ({"state": "Z"}, "[sh] <defunct>"),
        ({"arguments": "a  b\tc"}, "a b c"),
    ],
)
def test_commands(more: dict[str, object], command: str) -> None:
    """A kernel thread, a zombie, and space as Docker splits it."""
    assert row(process(**more), uptime=100.0, now=1e6)[-1] == command


def test_long_times_have_days() -> None:
    """As ps writes them."""
    assert row(process(cpu=(DAY + 3661) * 100), uptime=2 * DAY, now=1e9)[6] == "1-01:01:01"


def test_a_name_may_hold_anything() -> None:
    """Brackets and spaces in a command's name do not shift the fields."""
    stat = "7 (a) b) (c) S 3 7 7 34816 7 0 0 0 0 0 12 8 0 0 20 0 1 0 555 0 0"
    found = parse_stat(7, 0, stat, b"x\0y\x1bz\0")
    assert (found.name, found.parent, found.cpu, found.started) == ("a) b) (c", 3, 20, 555)
    assert found.arguments == "x y?z"


@needs_ps
def test_our_rows_are_those_of_ps() -> None:
    """For this very process, but for the share of CPU, which moves."""
    # The test runner's readline has set COLUMNS behind Python's back.
    environment = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
    command = ["ps", "-ef", f"-q{os.getpid()}"]
    reference = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    theirs = parse_ps_output(reference, [os.getpid()]).processes[0]
    (ours,) = list_processes([os.getpid(), 2**22 + 1])
    assert ours[:3] + ours[4:6] == theirs[:3] + theirs[4:6]
    assert ours[7] == theirs[7]


@needs_ps
async def test_other_columns_come_from_ps() -> None:
    """By title, only our process, and the option that excludes -q too."""
    found = await container_top([os.getpid()], "-o pid,comm")
    assert found.titles == ["PID", "COMMAND"]
    assert [line[0] for line in found.processes] == [str(os.getpid())]
    assert (await container_top([os.getpid()])).titles[0] == "UID"


@needs_ps
@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ("-o comm", Internal, "Couldn't find PID field in ps output"),
        ("--foo", Internal, "error: unknown gnu long option"),
        ("-o pid -o cmd=PID", InvalidArgument, 'specifying "cmd=PID" is not allowed'),
    ],
)
async def test_refusals(arguments: str, error: type[Exception], message: str) -> None:
    """In the words of Docker, or of ps."""
    with pytest.raises(error) as refusal:
        await container_top([os.getpid()], arguments)
    assert str(refusal.value) == message


def test_threads_follow_their_process() -> None:
    """A dash in the PID column belongs to the row above."""
    output = "PID CMD\n5 a b\n- t1\n6 c\n- t2\n"
    assert parse_ps_output(output, [5]).processes == [["5", "a b"], ["-", "t1"]]
    check_ps_args("-o pid=PID")
