"""The body of every refusal."""

from __future__ import annotations

from wherry.wire.base import Wire


class ErrorResponse(Wire, frozen=True, kw_only=True, rename=None):
    """``{"message": …}``, in Docker's words."""

    message: str
