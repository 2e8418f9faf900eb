"""What a caller of the runtime may have to deal with."""

from __future__ import annotations

from wherry.lib.errors import WherryError


class StartFailed(WherryError):
    """A program could not be started; nothing of it is left.

    ``message`` is runc's, without the words that Docker puts in front (``exec: "foo": executable file not found in
    $PATH``). ``code`` is the exit code that Docker records: 127 not found, 126 not executable, else 128. ``engine`` is
    set when Docker's daemon itself would have said it, so that nothing goes in front (``unable to find user …``).
    """

    def __init__(self, code: int, message: str, *, engine: bool = False) -> None:
        super().__init__(message)
        self.code = code
        self.engine = engine
