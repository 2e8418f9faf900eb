"""A page of the web as a stream of bytes, for ``docker import URL``."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from urllib.parse import urlsplit

from wherry.lib.errors import Internal, InvalidArgument, NotFound
from wherry.transfer.remote import Registries, Stop
from wherry.transfer.remote.client import ANY_STATUS, Client, Place
from wherry.transfer.remote.faults import telling
from wherry.transfer.remote.transport import Response
from wherry.transfer.remote.url import parse_url
from wherry.transfer.threads import in_own_thread

PIECE = 1024 * 1024
EXCERPT = 1024
"""Bytes of a refusal that are shown."""


def page_url(source: str) -> str:
    """``source`` with a scheme, http where there is none."""
    return source if "://" in source else f"http://{source}"


class Page:
    """The answer to a GET. ``pieces`` ends with it, and closes it."""

    def __init__(self, response: Response, stop: Stop) -> None:
        self._response = response
        self._stop = stop
        self.total = response.length or 0
        """Bytes in all, 0 when that is not known."""

    async def pieces(self, told: Callable[[int], None]) -> AsyncIterator[bytes]:
        """The body; ``told`` learns how many bytes have come. Raises Internal, Stopped."""
        view = memoryview(bytearray(PIECE))
        current = 0
        try:
            while count := await in_own_thread(lambda: _more(self._response, view), self._stop):
                current += count
                told(current)
                yield bytes(view[:count])
        finally:
            self._response.close()


async def open_page(registries: Registries, url: str) -> Page:
    """Ask for ``url`` without credentials. Raises NotFound, InvalidArgument, Internal in dockerd's words."""
    stop = Stop()
    return Page(await in_own_thread(lambda: _open(registries, url, stop), stop), stop)


def _open(registries: Registries, text: str, stop: Stop) -> Response:
    if (scheme := urlsplit(text).scheme) not in ("http", "https"):
        raise Internal(f'Get "{text}": unsupported protocol scheme "{scheme}"')
    url = parse_url(text)
    with telling():
        response = Client(registries.services, Place(url.at("/"), ""), None, (), stop).call(
            "GET", url, accept=ANY_STATUS
        )
        if response.status < 400:
            return response
        with response:
            said = response.read_some(EXCERPT).decode(errors="replace").strip()
    message = f"failed to GET {text} with status {response.status} {response.reason}: {said}"
    if response.status == 404:
        raise NotFound(message)
    raise InvalidArgument(message) if response.status < 500 else Internal(message)


def _more(response: Response, view: memoryview) -> int:
    with telling():
        return response.readinto(view)
