"""``docker top``: the container's processes as ps would list them.

The default columns (``-ef``) are read from /proc here; with other arguments the host's ps is run and its output
filtered by process id, as Docker does.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Collection, Sequence

from wherry.engine.containers import notify
from wherry.engine.containers.context import Context
from wherry.engine.containers.processes import in_pid_namespace, list_processes
from wherry.engine.containers.state import Status
from wherry.engine.containers.stop import cgroup
from wherry.lib.errors import Conflict, Internal, InvalidArgument
from wherry.wire.container import TopResponse

DEFAULT_ARGS = "-ef"
PS_TIMEOUT = 10.0
"""Seconds."""

_TITLES = ["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"]
_RENAMED_PID = re.compile(r"\s+([^\s]*)=\s*(PID[^\s]*)")


async def top(context: Context, key: str, ps_args: str) -> TopResponse:
    """The processes of a container. Raises NotFound, Conflict when it does not run, and as ``container_top``."""
    entry = context.registry.find(key)
    if entry.record.state.status is Status.RESTARTING:
        raise Conflict(f"container {entry.id} is restarting, wait until the container is running")
    if not entry.record.state.alive:
        raise Conflict(f"container {entry.id} is not running")
    if context.cgroups.hierarchies:
        pids = await asyncio.to_thread(context.cgroups.procs, cgroup(context, entry.record))
    else:
        pids = await asyncio.to_thread(in_pid_namespace, entry.record.state.pid)
    found = await container_top(pids, ps_args)
    notify.emit(context, entry.record, "top")
    return found


async def container_top(pids: Sequence[int], ps_args: str = "") -> TopResponse:
    """The processes ``pids`` of a container. Raises InvalidArgument and Internal with the first line that ps writes."""
    arguments = ps_args or DEFAULT_ARGS
    check_ps_args(arguments)
    if arguments == DEFAULT_ARGS:
        rows = await asyncio.to_thread(list_processes, pids)
        return TopResponse(titles=list(_TITLES), processes=rows)
    words = arguments.split(" ")
    try:
        output = await _ps([*words, "-q" + ",".join(map(str, pids))])
    except Internal:
        # Some options exclude -q.
        output = await _ps(words)
    return parse_ps_output(output, frozenset(pids))


def check_ps_args(arguments: str) -> None:
    """Refuse another column under the title PID: rows are chosen by it. Raises InvalidArgument in Docker's words."""
    for match in _RENAMED_PID.finditer(arguments):
        if match[1] != "pid":
            raise InvalidArgument(f'specifying "{match[1]}={match[2]}" is not allowed')


def parse_ps_output(output: str, pids: Collection[int]) -> TopResponse:
    """The rows whose PID is one of ``pids``, and the thread rows (``-``) below them. Raises Internal without a PID."""
    lines = output.split("\n")
    titles = _fields(lines[0])
    if "PID" not in titles:
        raise Internal("Couldn't find PID field in ps output")
    column = titles.index("PID")
    rows: list[list[str]] = []
    inside = False
    for line in lines[1:]:
        fields = _fields(line)
        if len(fields) <= column:
            continue
        if fields[column] != "-":
            if not fields[column].isdigit():
                raise Internal(f"Unexpected pid '{fields[column]}'")
            inside = int(fields[column]) in pids
        if inside:
            rows.append([*fields[: len(titles) - 1], " ".join(fields[len(titles) - 1 :])])
    return TopResponse(titles=titles, processes=rows)


def _fields(line: str) -> list[str]:
    """Split at ASCII white space only: a process may have any other in its name."""
    return re.split(r"[\t\n\f\r\v ]+", line.strip("\t\n\f\r\v ")) if line.strip("\t\n\f\r\v ") else []


async def _ps(arguments: Sequence[str]) -> str:
    # As wide as it takes, even if the daemon was started from a terminal.
    environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
    pipe = asyncio.subprocess.PIPE
    try:
        process = await asyncio.create_subprocess_exec(
            "ps", *arguments, stdin=asyncio.subprocess.DEVNULL, stdout=pipe, stderr=pipe, env=environment
        )
    except OSError as error:
        raise Internal('ps: exec: "ps": executable file not found in $PATH') from error
    try:
        async with asyncio.timeout(PS_TIMEOUT):
            output, complaint = await process.communicate()
    except TimeoutError:
        raise Internal(f"ps: no answer within {PS_TIMEOUT:g} s") from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        raise Internal(complaint.decode(errors="replace").partition("\n")[0] or f"ps: exit status {process.returncode}")
    return output.decode(errors="replace")
