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

_SHOWN = 4096
"""Bytes of each stream of a failing hook that go into the error."""
_READ = 4096
_INSIDE = ("createContainer", "startContainer")
"""These run in the container, and see nothing of the runtime's environment."""


def run(hooks: list[dict[str, Any]], state: dict[str, Any], *, where: str) -> None:
    """Run ``hooks`` one after the other with ``state`` as JSON on stdin; the first that fails ends it: StartError.

    ``where`` is the name of their list. A hook that exceeds its ``timeout`` (seconds) is killed with its process group.
    """
    for number in range(len(hooks)):
        run_one(hooks, number, state, where=where)


def run_one(hooks: list[dict[str, Any]], number: int, state: dict[str, Any], *, where: str) -> None:
    """Run the hook ``number`` alone, for a list that goes on after a failure. Raises StartError."""
    failure = _Hook(hooks[number], inside=where in _INSIDE).run(compact_json.dumps(state))
    if failure:
        raise StartError(f"error running {where} hook #{number}: {failure}")


class _Hook:
    """One hook under way."""

    def __init__(self, hook: dict[str, Any], *, inside: bool) -> None:
        self._path: str = hook["path"]
        self._arguments = [encode(word) for word in hook.get("args") or [self._path]]
        self._environment = _environment(hook.get("env"), inside=inside)
        self._timeout: float = hook.get("timeout") or 0
        self._input = b""
        self._said: dict[int, bytes] = {}
        self._open: set[int] = set()
        self._poller = select.poll()

    def run(self, state: bytes) -> str:
        """Why it has failed; empty when it has not."""
        stdin, feed = os.pipe2(os.O_CLOEXEC)
        output, out = os.pipe2(os.O_CLOEXEC)
        errors, err = os.pipe2(os.O_CLOEXEC)
        report, failed = os.pipe2(os.O_CLOEXEC)
        pid = os.fork()
        if pid == 0:
            self._become((stdin, out, err), failed)
        for fd in (stdin, out, err, failed):
            os.close(fd)
        self._input = state
        self._said = {output: b"", errors: b""}
        try:
            status = self._attend(pid, feed)
            trouble = os.read(report, 16)
        except BaseException:  # whoever waits for it has been interrupted
            _kill(pid)
            raise
        finally:
            for fd in (output, errors, report):
                os.close(fd)
        if trouble:
            return f"fork/exec {self._path}: {reason(int(trouble))}"
        if status is None:
            return f"hook ran past specified timeout of {self._timeout:.1f}s"
        code = os.waitstatus_to_exitcode(status)
        if code == 0:
            return ""
        said, complained = (text.decode("utf-8", "replace").strip() for text in self._said.values())
        how = f"exit status {code}" if code > 0 else f"signal: {-code}"
        return f"{how}, stdout: {said}, stderr: {complained}"

    def _attend(self, pid: int, feed: int) -> int | None:
        """Feed it, hear it, wait for it: its wait status, None when it took too long."""
        deadline = time.monotonic() + self._timeout if self._timeout else None
        process_fd = os.pidfd_open(pid)
        os.set_blocking(feed, False)
        for fd in self._said:
            os.set_blocking(fd, False)
            self._poller.register(fd, select.POLLIN)
        self._open = set(self._said)
        self._poller.register(process_fd, select.POLLIN)
        self._poller.register(feed, select.POLLOUT)
        feeding = True
        try:
            while True:
                left = None if deadline is None else max(0.0, deadline - time.monotonic()) * 1000
                ready = [fd for fd, _ in self._poller.poll(left)]
                if feed in ready and not self._feed(feed):
                    self._poller.unregister(feed)
                    os.close(feed)
                    feeding = False
                for fd in self._said:
                    if fd in ready:
                        self._hear(fd)
                if process_fd in ready:
                    break
                if not ready:
                    _kill(pid)
                    return None
        finally:
            os.close(process_fd)
            if feeding:
                os.close(feed)
        # What it has started in the background may hold them open and say more: that is not our hook any more.
        for fd in self._said:
            self._hear(fd)
        return os.waitpid(pid, 0)[1]

    def _feed(self, feed: int) -> bool:
        """Whether there is more to write, and somebody who wants to read it."""
        try:
            self._input = self._input[os.write(feed, self._input) :]
        except BrokenPipeError:
            return False
        return bool(self._input)

    def _hear(self, fd: int) -> None:
        try:
            data = os.read(fd, _READ)
        except BlockingIOError:
            return
        if data:
            self._said[fd] = (self._said[fd] + data)[:_SHOWN]
        elif fd in self._open:
            self._poller.unregister(fd)
            self._open.discard(fd)

    def _become(self, stdio: tuple[int, int, int], failed: int) -> NoReturn:
        try:
            os.setpgid(0, 0)
            # All four end above the standard ones first: one of those may be among them, if ours are closed.
            fds = [os.dup(fd) if fd < 4 else fd for fd in (*stdio, failed)]
            while any(fd < 4 for fd in fds):
                fds = [os.dup(fd) if fd < 4 else fd for fd in fds]
            for number, fd in enumerate(fds[:3]):
                os.dup2(fd, number)
            os.dup2(fds[3], 3, inheritable=False)
            close_from(4)
            process.default_signals()
            os.execve(encode(self._path), self._arguments, self._environment)  # noqa: S606  the user's own program
        except OSError as error:
            os.write(3, str(error.errno).encode())
        finally:
            os._exit(127)


def _kill(pid: int) -> None:
    """The hook with what it has started; it has made itself a group's leader, or is about to."""
    for kill, target in ((os.killpg, pid), (os.kill, pid)):
        try:
            kill(target, signals.SIGKILL)
        except ProcessLookupError:
            continue
    os.waitpid(pid, 0)


def _environment(entries: list[str] | None, *, inside: bool) -> dict[bytes, bytes]:
    """Exactly what the configuration lists; where it lists nothing, ours (as runc)."""
    if entries is None:
        return {} if inside else dict(os.environb)
    pairs = (encode(entry).partition(b"=") for entry in entries)
    return {name: value for name, _, value in pairs if name}
