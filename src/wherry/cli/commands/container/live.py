"""What run, start, attach and exec share: a conversation with a container through the user's terminal."""

from __future__ import annotations

import os
import time

from wherry.cli.app import write
from wherry.cli.errors import CliError
from wherry.cli.signals import SIGWINCH, SignalPipe, forwarded, name_of
from wherry.cli.terminal import DEFAULT_KEYS, RawMode, parse_keys, size
from wherry.client import container
from wherry.client.client import Client
from wherry.client.errors import ClientError
from wherry.client.jsonio import loads
from wherry.client.session import Session

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from wherry.cli.app import App
    from wherry.client.http import Response

    Resize = Callable[[int, int], None]

STDIN, STDOUT, STDERR = 0, 1, 2
_RETRIES = 10


class Waiting:
    """An exit code that the daemon will send."""

    def __init__(self, response: Response) -> None:
        self._response = response
        self.status: int | None = None
        self.error = ""

    def fileno(self) -> int:
        """What becomes readable when the answer comes."""
        return self._response.fileno()

    def pending(self) -> bool:
        """Whether the answer is here already."""
        return self._response.pending()

    def collect(self) -> int:
        """Read the answer, waiting for it if need be. 125 if there is none to be had."""
        if self.status is None:
            try:
                answer = loads(self._response.read())
                self.error = str((answer.get("Error") or {}).get("Message", ""))
                self.status = 125 if self.error else int(answer["StatusCode"])
            except (ClientError, ValueError, KeyError) as error:
                self.error, self.status = f"error waiting for container: {error or 'unexpected EOF'}", 125
        return self.status


def open_connection(app: App) -> Client:
    """Another connection to the same daemon, for calls while the first one is busy."""
    return Client(app.client.address.text, version=app.client.version)


class Live:
    """One conversation. Make it before the container starts: from then on signals are forwarded."""

    def __init__(self, app: App, *, forward_to: str = "") -> None:
        """Pass signals on to the container ``forward_to``, if given."""
        self._app = app
        self._target = forward_to
        numbers = set(forwarded()) if forward_to else set()
        self._signals = SignalPipe(numbers | {SIGWINCH})
        self._resize: Resize | None = None
        self._attempts = 0
        self._next_attempt = 0.0

    def close(self) -> None:
        """Stop catching signals."""
        self._signals.close()

    def talk(
        self,
        connection: tuple[socket.socket, bytes],
        *,
        tty: bool,
        stdin: bool,
        stdout: bool = True,
        stderr: bool = True,
        keys: str = "",
        resize: Resize | None = None,
        waiting: Waiting | None = None,
    ) -> int | None:
        """Talk until the container's side ends; then the exit code if ``waiting`` brings one. Raises ``Detached``."""
        session = Session(
            connection,
            tty=tty,
            stdin=STDIN if stdin else None,
            out=_to_stdout if stdout else None,
            err=(_to_stdout if tty else _to_stderr) if stderr else None,
            keys=detach_keys(self._app, keys) if stdin else b"",
        )
        try:
            with RawMode(STDIN) if tty and stdin else _Nothing():
                self._watch_terminal(session, resize)
                stopped = waiting is not None and self._watch_exit(session, waiting, alone=not (stdout or stderr))
                if not stopped:
                    session.run()
            if waiting is None:
                return None
            self._await(session, waiting)
            return waiting.status
        finally:
            session.close()

    def _watch_terminal(self, session: Session, resize: Resize | None) -> None:
        self._resize = resize
        self._attempts = _RETRIES
        session.watch(self._signals.fileno(), lambda _: self._signalled())
        session.tick = self._tick
        self._next_attempt = 0.0

    def _watch_exit(self, session: Session, waiting: Waiting, *, alone: bool) -> bool:
        def exited(_events: int) -> bool:
            waiting.collect()
            session.unwatch(waiting.fileno())
            return alone

        if waiting.pending():
            waiting.collect()
            return alone
        session.watch(waiting.fileno(), exited)
        return False

    def _await(self, session: Session, waiting: Waiting) -> None:
        """The output has ended: wait for the exit code, still forwarding signals."""
        if waiting.status is None:
            session.unwatch(waiting.fileno())
            session.watch(waiting.fileno(), lambda _: bool(waiting.collect()) or True)
            session.wait()
        if waiting.error:
            self._app.complain(waiting.error)

    def _signalled(self) -> bool:
        for number in self._signals.read():
            if number == SIGWINCH:
                self._attempts = max(self._attempts, 1)
                self._next_attempt = 0.0
            elif self._target:
                self._forward(name_of(number))
        return False

    def _forward(self, name: str) -> None:
        if not name:
            return
        try:
            container.kill(open_connection(self._app), self._target, name)
        except ClientError:
            return  # it has ended meanwhile; its exit code tells

    def _tick(self) -> int | None:
        """Tell the container the terminal's size; while it is not ready for that, try again a little later."""
        if self._resize is None or not self._attempts:
            return None
        now = time.monotonic()
        if now < self._next_attempt:
            return int((self._next_attempt - now) * 1000) + 1
        height, width = size(STDOUT)
        if not height and not width:
            self._attempts = 0
            return None
        try:
            self._resize(height, width)
        except ClientError:
            self._attempts -= 1
            if not self._attempts:
                self._app.complain("failed to resize tty, using default size")
                return None
            delay = (_RETRIES - self._attempts + 1) * 0.01
            self._next_attempt = now + delay
            return int(delay * 1000)
        self._attempts = 0
        return None


class _Nothing:
    def __enter__(self) -> None:
        return None

    def __exit__(self, *_: object) -> None:
        return None


def _to_stdout(data: bytes) -> None:
    write(STDOUT, data)


def _to_stderr(data: bytes) -> None:
    write(STDERR, data)


def detach_keys(app: App, given: str) -> bytes:
    """The bytes of the keys that detach: as given, as configured, or ctrl-p ctrl-q."""
    text = configured_keys(app, given)
    if not text:
        return DEFAULT_KEYS
    try:
        return parse_keys(text)
    except ValueError as error:
        app.complain(f"invalid detach escape keys, using default: {error}")
        return DEFAULT_KEYS


def configured_keys(app: App, given: str) -> str:
    """The text of the keys that detach, empty for the daemon's default."""
    return given or app.config.text("detachKeys")


def check_tty(*, attach_stdin: bool, tty: bool) -> None:
    """Raise if the container is to have a terminal and we have none to give."""
    if tty and attach_stdin and not os.isatty(STDIN):
        raise CliError("the input device is not a TTY")
