"""Which places a repository is looked for at: its mirrors, then the registry by https, then, where allowed, by http."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

from wherry.lib.errors import InvalidArgument, WherryError
from wherry.oci.reference import DEFAULT_DOMAIN, Reference
from wherry.transfer.remote.client import Client, Place
from wherry.transfer.remote.faults import Fault, Unreachable
from wherry.transfer.remote.mirrors import mirrors_of
from wherry.transfer.remote.settings import RegistrySettings
from wherry.transfer.remote.url import Url, parse_url

HUB = "registry-1.docker.io"
"""Where Docker Hub serves the distribution API."""

T = TypeVar("T")


def places_of(settings: RegistrySettings, name: Reference, *, push: bool) -> list[Place]:
    """The places in order. A push goes to the registry alone."""
    found: list[Place] = []
    if not push:
        for url, path in mirrors_of(settings.mirrors, name):
            found.append(Place(url, path, insecure=url.scheme == "http" or _lax(settings, url.netloc), mirror=True))
    host = HUB if name.domain == DEFAULT_DOMAIN else name.domain
    lax = _lax(settings, name.domain)
    found.append(Place(_root("https", host), name.path, insecure=lax))
    if lax:
        found.append(Place(_root("http", host), name.path, insecure=True))
    return found


def _lax(settings: RegistrySettings, netloc: str) -> bool:
    return settings.insecure.covers(netloc)


def _root(scheme: str, host: str) -> Url:
    try:
        return parse_url(f"{scheme}://{host}/")
    except InvalidArgument:
        raise InvalidArgument("invalid reference format") from None


class Places:
    """The clients of one repository, tried in order until one serves. Thread-safe."""

    def __init__(self, find: Callable[[], list[Client]], report: Callable[[str], None] | None = None) -> None:
        self._find = find
        self._report = report
        self._lock = threading.Lock()
        self._found: list[Client] = []
        self._unusable: set[int] = set()

    @property
    def _clients(self) -> list[Client]:
        """Found when first needed: names are resolved for it, which may take long."""
        with self._lock:
            if not self._found:
                self._found = self._find()
            return self._found

    def ask(self, request: Callable[[Client], T], *, mirrors: bool = True) -> T:
        """The answer of the first place that has one. Raises the last place's fault.

        As in Docker a mirror's failure, whatever it is, leads on to the next place; the registry's own answer is
        final, and only not getting one by https leads on to http. Without ``mirrors`` only the registry is asked.
        """
        last: Fault | WherryError = Unreachable("no endpoints found")
        clients = self._clients
        for index, client in enumerate(clients):
            if index in self._unusable or (client.place.mirror and not mirrors):
                continue
            try:
                client.ping()
            except (Fault, WherryError) as error:
                if index + 1 == len(clients):
                    raise
                self._give_up(index, client, error)
                last = error
                continue
            if not client.place.mirror:
                self._settle(index)
            try:
                return request(client)
            except (Fault, WherryError) as error:
                if not client.place.mirror:
                    raise
                self._tell(client, error)
                last = error
        raise last

    def own(self) -> Client:
        """The registry itself, by the scheme it answers to. Raises Fault."""
        return self.ask(lambda client: client, mirrors=False)

    def _give_up(self, index: int, client: Client, error: Exception) -> None:
        self._tell(client, error)
        with self._lock:
            self._unusable.add(index)

    def _tell(self, client: Client, error: Exception) -> None:
        if self._report is not None:
            self._report(f"Attempting next endpoint after error at {client.place.url}: {error}")

    def _settle(self, index: int) -> None:
        """The registry answered by this scheme: the other one is not tried any more."""
        with self._lock:
            for other, client in enumerate(self._found):
                if other != index and not client.place.mirror:
                    self._unusable.add(other)
