"""Why a program could not be started: the one exception of a shim, an init and an exec, and how it travels.

The code is what Docker makes of the errno: 127 when something is missing, 126 when it may not be run, else 128.
"""

from __future__ import annotations

import errno
import os

from wherry.runtime import compact_json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType

_CODES = {errno.ENOENT: 127, errno.ENOTDIR: 127, errno.EACCES: 126, errno.EISDIR: 126}


class StartError(Exception):
    """The start failed; ``str`` is for the user, in the words of runc."""

    def __init__(self, message: str, *, code: int = 128, engine: bool = False) -> None:
        super().__init__(message)
        self.code = code
        self.engine = engine
        """Docker's daemon would have said this itself, before it called a runtime."""

    def encode(self) -> bytes:
        """As the JSON of a FAILED frame."""
        return compact_json.dumps({"code": self.code, "message": str(self), "engine": self.engine})

    @staticmethod
    def decode(data: bytes) -> StartError:
        """The error that ``encode`` has made the bytes of."""
        fields = compact_json.loads(data)
        return StartError(fields["message"], code=fields["code"], engine=fields["engine"])


class Plain(StartError):
    """Said as it is, without ``error during container init`` in front.

    runc finds it before its init runs, or when that has already reported to be ready.
    """


class NoProgram(Plain):
    """What was to be executed is not there, or not executable."""


def from_errno(text: str, number: int | None, kind: type[StartError] = StartError) -> StartError:
    """``text: strerror`` in lower case, as Go prints it."""
    return kind(f"{text}: {reason(number)}", code=_CODES.get(number or 0, 128))


def reason(number: int | None) -> str:
    """What Go calls the errno: libc's text with a small first letter."""
    text = os.strerror(number or 0)
    return text[:1].lower() + text[1:]


class Step:
    """``with Step("what was tried"):`` turns an OSError inside into a StartError that says so."""

    __slots__ = ("_kind", "_text")

    def __init__(self, text: str, kind: type[StartError] = StartError) -> None:
        self._text = text
        self._kind = kind

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, OSError):
            raise from_errno(self._text, error.errno, self._kind) from error
