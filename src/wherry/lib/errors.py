"""The one error family, by meaning. ``api/server/errors.py`` alone maps it to HTTP.

WherryError
├── InvalidArgument    the request makes no sense as written          400
├── Unauthorized       credentials missing or wrong                   401
├── Forbidden          understood, and refused                        403
├── NotFound           the named object does not exist                404
├── Conflict           the object's state does not allow it           409
├── NotModified        it already is as asked                         304
├── Unavailable        cannot now, may later                          503
├── NotBuilt           part of the API that wherry does not have yet  501
└── Internal           a fault on our side or of the kernel           500

A message is written for the user and carries the name, path or digest concerned.
"""

from __future__ import annotations


class WherryError(Exception):
    """Root of every error that a user may see."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class InvalidArgument(WherryError):
    """The request makes no sense as written."""


class Unauthorized(WherryError):
    """Credentials are missing or wrong."""


class Forbidden(WherryError):
    """Understood, and refused."""


class NotFound(WherryError):
    """The named object does not exist."""


class Conflict(WherryError):
    """The object's present state does not allow the operation."""


class NotModified(WherryError):
    """The object already is as asked."""


class Unavailable(WherryError):
    """Cannot be done now, may be possible later."""


class NotBuilt(WherryError):
    """A part of the Engine API that wherry does not have yet."""


class Internal(WherryError):
    """A fault on our side or of the kernel."""
