"""``ps``: the processes in the container, as the host's ps(1) shows them."""

from __future__ import annotations

import subprocess

from wherry.linux.cgroups import CgroupError
from wherry.runtime.oci import gojson, machine, output
from wherry.runtime.oci.arguments import Call, Command, Flag
from wherry.runtime.oci.errors import Failure, strerror


def _ps(call: Call) -> int:
    container, cgroups = machine.load(call)
    try:
        pids = cgroups.procs(container.cgroup) if container.cgroup else [container.pid]
    except CgroupError as error:
        raise Failure(f"unable to get all container pids: {error}") from error
    kind = call.options.text("format")
    if kind == "json":
        output.out(gojson.encode(pids or None) + "\n")
    elif kind == "table":
        output.out(_only(_ask(call.arguments[1:] or ["-ef"]), set(pids)))
    else:
        raise Failure("invalid format option")
    return 0


def _ask(options: list[str]) -> str:
    try:
        done = subprocess.run(["ps", *options], capture_output=True, check=False)
    except OSError as error:
        raise Failure(f'exec: "ps": {strerror(error)}') from error
    said = (done.stdout + done.stderr).decode("utf-8", "surrogateescape")
    if done.returncode != 0:
        raise Failure(f"exit status {done.returncode}: {said}")
    return said


def _only(listing: str, pids: set[int]) -> str:
    """The title, and the lines whose PID is among ``pids``."""
    title, *lines = listing.split("\n")
    if "PID" not in title.split():
        raise Failure("couldn't find PID field in ps output")
    column = title.split().index("PID")
    kept = [title]
    for line in lines:
        fields = line.split()
        if not fields:
            continue
        if len(fields) <= column or not fields[column].isdigit():
            raise Failure(f"unable to parse pid: {line}")
        if int(fields[column]) in pids:
            kept.append(line)
    return "".join(f"{line}\n" for line in kept)


COMMAND = Command(
    "ps",
    _ps,
    usage="ps displays the processes running inside a container",
    arguments="<container-id> [ps options]",
    flags=(Flag("format, f", "select one of: table or json", default="table"),),
    most=None,
    in_order=True,
)
