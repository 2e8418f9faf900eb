"""How a command of ``wherry-oci`` fails: one line for its caller, and the exit code."""

from __future__ import annotations


class Failure(Exception):
    """What the user is told, in runc's words where runc has any; ``code`` is the exit code."""

    def __init__(self, message: str, code: int = 1) -> None:
        super().__init__(message)
        self.code = code


class NoContainer(Failure):
    """There is no container of this id."""

    def __init__(self) -> None:
        super().__init__("container does not exist")


class UsageError(Failure):
    """The command line makes no sense; ``shown`` stands above the help text on stdout."""

    def __init__(self, message: str, shown: str = "Incorrect Usage.") -> None:
        super().__init__(message)
        self.shown = shown


def strerror(error: OSError) -> str:
    """What Go calls the errno: libc's text with a small first letter."""
    text = error.strerror or str(error)
    return text[:1].lower() + text[1:]
