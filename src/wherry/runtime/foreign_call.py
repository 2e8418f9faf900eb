"""Calling another OCI runtime's command, and what it says when it fails. Within the import budget of a shim.

    child → shim, a pipe that execve closes:
    nothing           the command runs
    text              it could not be executed, for that reason
    {"code", …}       what was to be done before failed, see ``init_errors``

The words of a failure are those that containerd makes of it, and dockerd shows: the last error of the command's log.
"""

from __future__ import annotations

import os

from wherry.linux import process, signals, sockets
from wherry.linux.syscalls import close_from, encode
from wherry.runtime import compact_json
from wherry.runtime.bundle_files import read_file
from wherry.runtime.init_errors import StartError, from_errno, reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn

_ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"}
_LARGEST = 65536
_UMASK = 0o022
_REPORT = 3
_MISSING = "executable file not found"
_NOT_A_DIRECTORY = "not a directory"
_HINT = (
    ": Are you trying to mount a directory onto a file (or vice-versa)? "
    "Check if the specified host path exists and is the expected type"
)


class Call:
    """One run of the command: ``fork``, then ``wait`` or ``kill``."""

    def __init__(self, words: list[str], *, log: str, doing: str) -> None:
        self._words = words
        self._log = log
        self._doing = doing
        self._pid = 0
        self._report = -1

    def fork(self, stdio: tuple[int, ...] = (), prepare: Callable[[], None] | None = None) -> None:
        """Run it with ``stdio`` as 0, 1 and 2, /dev/null without; ``prepare`` is called before in the child.

        Raises StartError.
        """
        self._report, report = os.pipe2(os.O_CLOEXEC)
        try:
            self._pid = os.fork()
        except OSError as error:
            os.close(report)
            raise from_errno("unable to fork", error.errno) from error
        if self._pid == 0:
            _become(self._words, stdio, prepare, report)
        os.close(report)

    def wait(self) -> None:
        """Until it has ended. Raises StartError when it failed."""
        said = b""
        while chunk := os.read(self._report, _LARGEST):
            said += chunk
        os.close(self._report)
        self._report = -1
        pid, self._pid = self._pid, 0
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        if said[:1] == b"{":
            failure = compact_json.loads(said)
            raise StartError(failure["message"], code=failure["code"], engine=failure["engine"])
        if said or code:
            how = f"exit status {code}" if code >= 0 else f"signal: {-code}"
            ended = said.decode() or f"{self._words[0]} did not terminate successfully: {how}"
            raise in_docker_words(f"{self._doing}: {self._reason(ended)}: unknown")

    def kill(self) -> None:
        """End it if it still runs."""
        if self._report >= 0:
            os.close(self._report)
            self._report = -1
        if self._pid:
            os.kill(self._pid, signals.SIGKILL)
            os.waitpid(self._pid, 0)
            self._pid = 0

    def _reason(self, ended: str) -> str:
        try:
            return last_error(read_file(self._log)) or ended
        except FileNotFoundError:
            return f"unable to retrieve OCI runtime error (open {self._log}: no such file or directory): {ended}"


def in_docker_words(text: str) -> StartError:
    """``text`` as dockerd shows it, with the exit code that dockerd reads out of it."""
    low = text.lower()
    code = 128
    if _MISSING in low or "no such file or directory" in low:
        code = 127
    if "permission denied" in low:
        code = 126
    if _NOT_A_DIRECTORY in low:
        code = 127
    return StartError(with_hint(text), code=code, engine=True)


def with_hint(text: str) -> str:
    """``text``, and what dockerd adds to it when it speaks of a file in a directory's place."""
    return text + _HINT if _NOT_A_DIRECTORY in text.lower() else text


def last_error(log: bytes) -> str:
    """The message of the last error in a log of JSON lines; empty without one."""
    said = ""
    for line in log.splitlines():
        try:
            entry = compact_json.loads(line)
        except ValueError:
            continue  # half a line, or a runtime that writes something else
        if isinstance(entry, dict) and entry.get("level") == "error":
            said = str(entry.get("msg") or said).strip()
    return said


def _become(words: list[str], stdio: tuple[int, ...], prepare: Callable[[], None] | None, report: int) -> NoReturn:
    try:
        # A shim that dies half-way takes the command along; what that has started has its own fate.
        process.set_death_signal(signals.SIGKILL)
        os.umask(_UMASK)
        if prepare is not None:
            prepare()
        report = _keep_only(stdio, report)
        os.write(report, _execute(words).encode())
    except StartError as error:
        os.write(report, error.encode())
    except OSError as error:
        os.write(report, StartError(str(error)).encode())
    except Exception as error:  # noqa: BLE001  nobody else is left to tell
        os.write(report, StartError(f"{type(error).__name__}: {error}").encode())
    finally:
        os._exit(1)


def _keep_only(stdio: tuple[int, ...], report: int) -> int:
    """Nothing is open but the standard descriptors and the report, which gets another number."""
    given = stdio or (os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC),) * 3
    # A shim has its standard descriptors open, so that none of these has one of their numbers.
    for number, fd in enumerate(given):
        os.dup2(fd, number)
    sockets.arrange([report], _REPORT)
    close_from(_REPORT + 1)
    return _REPORT


def _execute(words: list[str]) -> str:
    """Why it could not be."""
    program = words[0]
    if "/" not in program:
        return f'exec: "{program}": {_MISSING} in $PATH'
    process.default_signals()
    try:
        os.execve(encode(program), [encode(word) for word in words], _ENVIRONMENT)  # noqa: S606  the administrator's own
    except OSError as error:
        return f"fork/exec {program}: {reason(error.errno)}"
