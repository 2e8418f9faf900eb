"""What every command works with: the daemon's client, where output goes, the user's settings.

Everything is made on first use, so that a command pays only for what it touches.
"""

from __future__ import annotations

import os
import sys

from wherry.cli.errors import CliError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wherry.cli.config import Config
    from wherry.cli.flags import Parsed
    from wherry.client.client import Client

NAME = "wherry"


class App:
    """One run of the program."""

    def __init__(self, settings: Parsed) -> None:
        """Take the options that stand before the command."""
        self.settings = settings
        self.path = NAME
        """The command as the user called it, for messages."""
        self._client: Client | None = None
        self._config: Config | None = None

    @property
    def client(self) -> Client:
        """The daemon's client. Raises ``CliError`` if the address makes no sense."""
        if self._client is None:
            from wherry.client.client import Client
            from wherry.client.errors import InvalidHost

            try:
                self._client = Client(self.host())
            except InvalidHost as error:
                raise CliError(f"Failed to initialize: unable to resolve docker endpoint: {error}") from error
            if self._client.address.host and (os.environ.get("DOCKER_TLS_VERIFY") or os.environ.get("DOCKER_TLS")):
                raise CliError(f"{NAME}: TLS is not built yet")
        return self._client

    @property
    def config(self) -> Config:
        """The user's config.json."""
        if self._config is None:
            from wherry.cli.config import Config

            self._config = Config(self.settings["config"])
        return self._config

    def host(self) -> str:
        """The daemon's address by -H, --context, $DOCKER_HOST, $DOCKER_CONTEXT, config.json; empty for the default."""
        hosts, context = self.settings["host"], self.settings["context"]
        if hosts and context:
            raise CliError("conflicting options: cannot specify both --host and --context")
        if len(hosts) > 1:
            raise CliError("Failed to initialize: unable to resolve docker endpoint: specify only one -H")
        if hosts:
            return str(hosts[0])
        return "" if self.context() == "default" else self.config.context_host(self.context())

    def context(self) -> str:
        """The name of the context in use."""
        given = self.settings["context"]
        if not given and not self.settings["host"] and not os.environ.get("DOCKER_HOST"):
            given = os.environ.get("DOCKER_CONTEXT") or self.config.text("currentContext")
        return given or "default"

    @staticmethod
    def out(text: str) -> None:
        """Write to stdout at once."""
        write(1, text.encode("utf-8", "surrogateescape"))

    @staticmethod
    def err(text: str) -> None:
        """Write to stderr at once."""
        write(2, text.encode("utf-8", "surrogateescape"))

    def line(self, text: str) -> None:
        """Write a line to stdout."""
        self.out(f"{text}\n")

    def complain(self, text: object) -> None:
        """Write a line to stderr."""
        self.err(f"{text}\n")


def write(fd: int, data: bytes) -> None:
    """Write all of it. A reader that has gone away ends the program as SIGPIPE would."""
    view = memoryview(data)
    try:
        while view:
            view = view[os.write(fd, view) :]
    except BrokenPipeError:
        raise CliError("", 141) from None
    except OSError as error:
        name = {1: "/dev/stdout", 2: "/dev/stderr"}.get(fd, "file")
        raise CliError(f"write {name}: {(error.strerror or '').lower()}") from error


def is_terminal(fd: int) -> bool:
    """Whether the descriptor is a terminal; a closed one is not."""
    return os.isatty(fd)


def confirm(app: App, question: str) -> bool:
    """Ask the user a yes or no question."""
    app.out(f"{question} [y/N] ")
    return sys.stdin.readline().strip().lower() == "y"
