"""How a command fails.

CliError          a message for stderr (empty: nothing to say) and the exit code
└── UsageError    the command line makes no sense: the message has the usage, exit 125 for flags, 1 for arguments
"""

from __future__ import annotations


class CliError(Exception):
    """A command failed. ``str()`` goes to stderr as it is."""

    def __init__(self, message: str = "", code: int = 1) -> None:
        super().__init__(message)
        self.code = code


class UsageError(CliError):
    """The command line makes no sense."""


def join(errors: list[str]) -> None:
    """Raise one error that holds them all, one a line; do nothing if there is none."""
    if errors:
        raise CliError("\n".join(errors))
