"""Upstream over the distribution protocol, by the same client as the daemon's."""

from __future__ import annotations

from itertools import islice

from wherry.oci.manifest import Descriptor
from wherry.oci.reference import Reference
from wherry.registry.pull_through_flight import Incoming
from wherry.registry.pull_through_source import ProxySettings
from wherry.transfer.remote.insecure import Insecure
from wherry.transfer.remote.mirrors import parse_mirrors
from wherry.transfer.remote.registries import Registries
from wherry.transfer.remote.repository import Repository
from wherry.transfer.remote.settings import RegistrySettings
from wherry.transfer.remote.stop import Stop

TAGS_MAX = 100_000


class Remote:
    """``Source`` over the distribution protocol."""

    def __init__(self, settings: ProxySettings) -> None:
        self._settings = settings
        self._stop = Stop()
        # A plain http address is a mirror of itself: the client would try TLS first at one that is merely insecure.
        mirrors = parse_mirrors([f"{settings.domain}={settings.url}"]) if settings.insecure else ()
        hosts = frozenset({settings.domain}) if settings.insecure else frozenset[str]()
        # Impatient: what is in the cache is to be served soon when upstream is down.
        self._registries = Registries(
            RegistrySettings(
                mirrors=mirrors,
                insecure=Insecure(hosts),
                attempts=2,
                retry_delay=0.2,
                connect_timeout=5.0,
                ping_timeout=5.0,
            )
        )

    def start(self) -> None:
        """Nothing is asked before a client asks."""

    def close(self) -> None:
        """Break off what is under way."""
        self._stop.set()
        self._registries.close()

    def resolve(self, repository: str, tag: str) -> str:
        """See Source."""
        return self._open(repository).manifest(tag, head=True).digest

    def manifest(self, repository: str, digest: str) -> bytes:
        """See Source."""
        return self._open(repository).manifest(digest).raw

    def has_blob(self, repository: str, digest: str) -> bool:
        """See Source."""
        return self._open(repository).has_blob(digest)

    def blob(self, repository: str, digest: str, size: int) -> Incoming:
        """See Source."""
        return self._open(repository).blob(Descriptor(digest=digest, size=size))

    def tags(self, repository: str) -> list[str]:
        """See Source."""
        return list(islice(self._open(repository).tags(), TAGS_MAX))

    def _open(self, repository: str) -> Repository:
        name = Reference(self._settings.domain, repository)
        return self._registries.open(name, self._settings.credentials, stop=self._stop)
