"""``run_process.py DIRECTORY NAME [--preserve-fds N] [--created] [--audit]``: a bundle's process, as a runtime runs it.

``--created`` stops at the gate, prints the process id, and goes on when it reads a line. ``--audit`` writes to stderr
what the interpreter imports or opens on the way from the closed door to the program. The tests of processes run their
bundles by it, or by the runtime that $WHERRY_TEST_RUNTIME names.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile

from wherry.linux import sockets
from wherry.linux.capabilities import masks
from wherry.linux.cgroups import open_hierarchy
from wherry.linux.process import set_subreaper
from wherry.linux.seccomp import SeccompError, compile_oci
from wherry.runtime import init, seccomp_agent
from wherry.runtime.init_errors import StartError
from wherry.runtime.init_gate import START
from wherry.runtime.init_program import Program
from wherry.runtime.start import Start


def main(bundle: str, name: str, *options: str) -> int:
    with open(f"{bundle}/config.json", encoding="utf-8") as file:
        spec = json.load(file)
    keep = int(options[options.index("--preserve-fds") + 1]) if "--preserve-fds" in options else 0
    listen_fds = int(os.environ.get("LISTEN_FDS") or 0)
    plan = _plan(bundle, name, spec)
    plan.keep = keep + listen_fds
    plan.request["listen_fds"] = listen_fds
    set_subreaper()
    if "--audit" in options:
        _audit()
    start = Start(plan, open_hierarchy())
    with tempfile.TemporaryDirectory() as directory:
        gate = _gate(plan, f"{directory}/gate") if "--created" in options else ""
        try:
            if linux := spec["linux"].get("seccomp"):
                plan.seccomp = compile_oci(linux)
            start.fork((0, 1, 2))
            start.make_cgroup()
            start.go()
            start.listen(terminal=os.close, hooks=lambda _: None, listener=lambda fd: _forward(start, spec, fd))
            if gate:
                _open(gate, start.pid)
            _, status = os.waitpid(start.pid, 0)
            return os.waitstatus_to_exitcode(status) & 0xFF
        except (StartError, SeccompError) as error:
            print(f"unable to start container process: {error}", file=sys.stderr)
            return 1
        finally:
            start.undo()


def _plan(bundle: str, name: str, spec: dict) -> init.Plan:
    process, linux = spec["process"], spec["linux"]
    namespaces = {entry["type"]: entry.get("path") or "" for entry in linux["namespaces"]}
    given = process.get("capabilities")
    request = {
        "id": name,
        "exec": None,
        "root": {"lower": [f"{bundle}/{spec['root']['path']}"], "upper": "", "work": ""},
        "cgroup": "",
        "resources": None,
        "pid_namespace": namespaces.get("pid"),
        "user_namespace": "user" in namespaces,
        "hooks": {},
        "oom_score_adj": None,
        "stdio": {"tty": False, "stdin": True, "height": 0, "width": 0},
        "user": None,
        "group_add": (),
        "seccomp": False,
        "capabilities": None if given is None else masks(given)[0],
        "init": False,
    }
    plan = init.Plan(bundle, request, None)
    plan.spec, plan.seccomp, plan.state = spec, b"", _state(name, bundle)
    return plan


def _state(name: str, bundle: str) -> dict:
    return {"ociVersion": "1.2.0", "id": name, "status": "creating", "bundle": bundle}


def _forward(start: Start, spec: dict, fd: int) -> None:
    try:
        seccomp_agent.forward(fd, spec, {**_state("x", "/"), "pid": start.pid})
    finally:
        os.close(fd)


def _gate(plan: init.Plan, path: str) -> str:
    plan.gate = sockets.listen(path, sockets.SEQPACKET, blocking=True).detach()
    plan.request["lasting"] = True
    return path


def _audit() -> None:
    enter = Program.enter
    watching = False

    def entered(self: Program, *arguments: object) -> None:
        nonlocal watching
        watching = True
        enter(self, *arguments)

    def hook(event: str, arguments: tuple) -> None:
        if watching and event in ("import", "open"):
            os.write(2, f"audit: {event} {arguments[0]}\n".encode())

    Program.enter = entered
    sys.addaudithook(hook)


def _open(path: str, pid: int) -> None:
    import _socket

    print(pid, flush=True)
    sys.stdin.readline()
    visitor = _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET)
    visitor.connect(path)
    visitor.send(START)
    if answer := visitor.recv(65536):
        raise StartError(json.loads(answer)["message"])


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
