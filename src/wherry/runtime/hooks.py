"""Running hooks: programs of the runtime's user at fixed points of a container's life (runtime-spec, config, hooks).

Without ``subprocess``: a container's init runs them too, between two namespaces.
"""

from __future__ import annotations

import os
import select
import time

from wherry.linux import process, signals
from wherry.linux.syscalls import close_from, encode
from wherry.runtime import compact_json
from wherry.runtime.init_errors import StartError, reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

_SHOWN = 2048
"""Bytes of a failing hook's output that go into the error."""
_NOT_EXECUTED = 127


def run(hooks: list[dict[str, Any]], state: dict[str, Any], *, where: str) -> None:
    """Run ``hooks`` one after the other with ``state`` as JSON on stdin; the first that fails ends it: StartError.

    A hook that exceeds its ``timeout`` (seconds) is killed with its process group.
    """
    text = compact_json.dumps(state)
    for number, hook in enumerate(hooks):
        failure = _run(hook, text)
        if failure:
            raise StartError(f"error running hook #{number}: {failure}".replace("hook #", f"{where} hook #"))


def _run(hook: dict[str, Any], text: bytes) -> str:
    """Why it has failed; empty when it has not."""
    stdin, feed = os.pipe2(os.O_CLOEXEC)
    output, sink = os.pipe2(os.O_CLOEXEC)
    pid = os.fork()
    if pid == 0:
        _become(hook, stdin, sink)
    os.close(stdin)
    os.close(sink)
    os.set_blocking(feed, False)
    try:
        said, status = _attend(pid, feed, output, text, hook.get("timeout") or 0)
    finally:
        os.close(output)
    if status is None:
        return f"hook ran past specified timeout of {hook['timeout']:.1f}s"
    code = os.waitstatus_to_exitcode(status)
    if code == 0:
        return ""
    how = f"exit status {code}" if code > 0 else f"signal: {-code}"
    return f"{how}, stdout: , stderr: {said.decode('utf-8', 'replace').strip()}"


def _attend(pid: int, feed: int, output: int, text: bytes, timeout: float) -> tuple[bytes, int | None]:
    """Feed it, hear it, wait for it: (what it said, wait status or None when it took too long)."""
    deadline = time.monotonic() + timeout if timeout else None
    said = b""
    process_fd = os.pidfd_open(pid)
    poller = select.poll()
    poller.register(feed, select.POLLOUT)
    poller.register(output, select.POLLIN)
    poller.register(process_fd, select.POLLIN)
    feeding = True
    try:
        while True:
            left = None if deadline is None else max(0, deadline - time.monotonic()) * 1000
            events = dict(poller.poll(left))
            if process_fd in events:
                break
            if not events:
                os.killpg(pid, signals.SIGKILL)
                os.waitpid(pid, 0)
                return said, None
            if feed in events:
                text = _feed(feed, text)
                if not text:
                    poller.unregister(feed)
                    os.close(feed)
                    feeding = False
            if output in events:
                data = os.read(output, 4096)
                said = (said + data)[:_SHOWN]
                if not data:
                    poller.unregister(output)
    finally:
        os.close(process_fd)
        if feeding:
            os.close(feed)
    os.set_blocking(output, False)
    try:
        said = (said + os.read(output, 4096))[:_SHOWN]
    except BlockingIOError:
        pass  # what it has started in the background may say something yet: not our hook any more
    return said, os.waitpid(pid, 0)[1]


def _feed(feed: int, text: bytes) -> bytes:
    """What is left to be written; nothing when it does not want to read."""
    try:
        return text[os.write(feed, text) :]
    except BrokenPipeError:
        return b""


def _become(hook: dict[str, Any], stdin: int, sink: int) -> NoReturn:
    try:
        os.setpgid(0, 0)
        os.dup2(stdin, 0)
        os.dup2(sink, 1)
        os.dup2(sink, 2)
        close_from(3)
        process.default_signals()
        path = hook["path"]
        arguments = [encode(word) for word in hook.get("args") or [path]]
        pairs = (encode(entry).partition(b"=") for entry in hook.get("env") or ())
        os.execve(encode(path), arguments, {name: value for name, _, value in pairs if name})  # noqa: S606  the user's own
    except OSError as error:
        os.write(2, f"fork/exec {hook['path']}: {reason(error.errno)}".encode("utf-8", "surrogateescape"))
    finally:
        os._exit(_NOT_EXECUTED)
