"""All registries, as one daemon knows them."""

from __future__ import annotations

from collections.abc import Callable

from wherry.oci.reference import DEFAULT_DOMAIN, Reference
from wherry.transfer.remote.client import Client, Place, Services
from wherry.transfer.remote.credentials import Credentials
from wherry.transfer.remote.places import Places, places_of
from wherry.transfer.remote.repository import Repository
from wherry.transfer.remote.settings import RegistrySettings
from wherry.transfer.remote.stop import Stop
from wherry.transfer.remote.tls import Contexts
from wherry.transfer.remote.tokens import Tokens
from wherry.transfer.remote.transport import Transport


class Registries:
    """Connections, tokens and TLS contexts are shared by all repositories opened here. Thread-safe."""

    def __init__(self, settings: RegistrySettings) -> None:
        self.settings = settings
        transport = Transport(
            Contexts(settings.certs_dirs),
            settings.proxies,
            connect_timeout=settings.connect_timeout,
            user_agent=settings.user_agent,
        )
        self.services = Services(settings, transport, Tokens(transport, settings.read_timeout))

    def open(
        self,
        name: Reference,
        credentials: Credentials | None,
        *,
        push: bool = False,
        stop: Stop | None = None,
        report: Callable[[str], None] | None = None,
        plain: bool = False,
    ) -> Repository:
        """The repository of ``name``; nothing is asked of the registry yet.

        ``report`` is told of places that failed and were passed over. With ``plain`` errors are in the registry's own
        words, without those of a pull.
        """
        stop = stop or Stop()
        actions = "pull,push" if push else "pull"

        def find() -> list[Client]:
            return [
                Client(
                    self.services,
                    place,
                    _for_place(credentials, place),
                    (f"repository:{place.path}:{actions}",),
                    stop,
                )
                for place in places_of(self.settings, name, push=push)
            ]

        return Repository(name, self.services, Places(find, report), stop, plain=plain or push)

    def close(self) -> None:
        """Hang up on every registry."""
        self.services.transport.close()


def _for_place(credentials: Credentials | None, place: Place) -> Credentials | None:
    """A mirror gets credentials only when they are its own."""
    if credentials is None or not place.mirror:
        return credentials
    host = credentials.server_address.partition("://")[2] or credentials.server_address
    return credentials if host.partition("/")[0] == place.url.netloc != DEFAULT_DOMAIN else None
