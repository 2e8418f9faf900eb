"""The addresses that the registry tells its clients."""

from __future__ import annotations

from urllib.parse import quote

from wherry.registry.config import Settings
from wherry.registry.http.message import Request


class Urls:
    """Builds them as Docker's registry does: absolute, by the host that the client (or its proxy) has asked for."""

    def __init__(self, settings: Settings) -> None:
        self._prefix = settings.prefix
        self._host = settings.host
        self._relative = settings.relative_urls

    def manifest(self, request: Request, name: str, reference: str) -> str:
        """Of a manifest."""
        return self._url(request, f"/v2/{name}/manifests/{reference}")

    def blob(self, request: Request, name: str, digest: str) -> str:
        """Of a blob."""
        return self._url(request, f"/v2/{name}/blobs/{digest}")

    def upload(self, request: Request, name: str, identifier: str) -> str:
        """Where an upload goes on."""
        return self._url(request, f"/v2/{name}/blobs/uploads/{identifier}")

    def absolute(self, request: Request, path: str) -> str:
        """An absolute URL, whatever the settings say about Location headers."""
        if self._host:
            return f"{self._host}{self._prefix}{path}"
        headers = request.headers
        scheme = headers.get("x-forwarded-proto") or ("https" if request.secure else "http")
        host = headers.get("x-forwarded-host", "").partition(",")[0].strip() or headers.get("host", "")
        return f"{scheme}://{quote(host, safe=':[].-_~')}{self._prefix}{path}"

    def next_page(self, path: str, query: str) -> str:
        """The value of a Link header that leads to a list's next page (RFC 5988); relative to the host."""
        return f'<{self._prefix}{path}?{query}>; rel="next"'

    def _url(self, request: Request, path: str) -> str:
        return f"{self._prefix}{path}" if self._relative else self.absolute(request, path)
