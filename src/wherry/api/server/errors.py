"""The one table from the error family to HTTP, and the body of a refusal."""

from __future__ import annotations

import msgspec

from wherry.lib import errors
from wherry.wire.error import ErrorResponse

STATUS: dict[type[errors.WherryError], int] = {
    errors.InvalidArgument: 400,
    errors.Unauthorized: 401,
    errors.Forbidden: 403,
    errors.NotFound: 404,
    errors.Conflict: 409,
    errors.NotModified: 304,
    errors.Unavailable: 503,
    errors.NotBuilt: 501,
    errors.Internal: 500,
}


def status_of(error: BaseException) -> int:
    """The HTTP status for ``error``: the nearest class of the table it belongs to, else 500."""
    for kind in type(error).__mro__:
        status = STATUS.get(kind)
        if status is not None:
            return status
    return 500


def message_of(error: BaseException) -> str:
    """What the client is told."""
    if isinstance(error, errors.WherryError):
        return error.message
    return str(error) or type(error).__name__


def error_body(error: BaseException) -> bytes:
    """``{"message": …}`` and a line feed, as Go's encoder writes it."""
    return msgspec.json.encode(ErrorResponse(message=message_of(error))) + b"\n"
