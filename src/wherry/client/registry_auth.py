"""Who the user is at a registry, as the Engine API wants it: in the body of ``POST /auth`` and in ``X-Registry-Auth``.

Docker Hub is known by the address of its first API, every other registry by its host and port.
"""

from __future__ import annotations

from binascii import b2a_base64

from wherry.client.jsonio import dumps

HUB = "https://index.docker.io/v1/"
"""The name under which credentials of Docker Hub are kept."""
HUB_DOMAIN = "docker.io"


class RegistryAuth:
    """One registry's credentials; what is not known is empty. ``server`` is the name they are kept under."""

    __slots__ = ("email", "identity_token", "password", "registry_token", "server", "username")

    def __init__(
        self,
        server: str = "",
        *,
        username: str = "",
        password: str = "",
        email: str = "",
        identity_token: str = "",
        registry_token: str = "",
    ) -> None:
        self.server = server
        self.username = username
        self.password = password
        self.email = email
        self.identity_token = identity_token
        self.registry_token = registry_token

    def members(self) -> dict[str, str]:
        """The members of the API's ``AuthConfig`` that are not empty."""
        every = {
            "username": self.username,
            "password": self.password,
            "email": self.email,
            "serveraddress": self.server,
            "identitytoken": self.identity_token,
            "registrytoken": self.registry_token,
        }
        return {name: value for name, value in every.items() if value}

    def header(self) -> dict[str, str]:
        """The ``X-Registry-Auth`` header: JSON in URL-safe base64."""
        encoded = b2a_base64(dumps(self.members()).encode(), newline=False).decode()
        return {"X-Registry-Auth": encoded.replace("+", "-").replace("/", "_")}


def key_of(domain: str) -> str:
    """The name under which the credentials of a registry are kept."""
    return HUB if domain in {HUB_DOMAIN, "index.docker.io"} else domain


def host_of(address: str) -> str:
    """``https://host:port/v1/`` as ``host:port``."""
    return address.removeprefix("https://").removeprefix("http://").partition("/")[0]
