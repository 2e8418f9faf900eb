"""Who the user is at a registry, as the Engine API's ``X-Registry-Auth`` header and ``POST /auth`` body say it."""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass

import msgspec

HEADER_MAX = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Credentials:
    """What is not known is empty. ``registry_token`` is a bearer token to be sent as it is."""

    username: str = ""
    password: str = ""
    identity_token: str = ""
    """A refresh token (OAuth 2), got at login in place of the password."""
    registry_token: str = ""
    server_address: str = ""

    def __repr__(self) -> str:
        # Secrets stay out of logs and tracebacks.
        return f"Credentials(username={self.username!r}, server_address={self.server_address!r})"

    @property
    def fingerprint(self) -> str:
        """Tells one user's cached tokens from another's, without keeping the secret."""
        secret = f"{self.username}\0{self.password}\0{self.identity_token}\0{self.registry_token}"
        return hashlib.sha256(secret.encode(errors="surrogatepass")).hexdigest()


class AuthConfig(msgspec.Struct):
    """As the API writes it."""

    username: str = ""
    password: str = ""
    auth: str = ""
    serveraddress: str = ""
    identitytoken: str = ""
    registrytoken: str = ""


def decode_auth(header: str) -> Credentials | None:
    """The credentials in an ``X-Registry-Auth`` header: URL-safe base64 of JSON.

    None when there are none. As in Docker, a header that cannot be read is as good as none.
    """
    if not header or len(header) > HEADER_MAX:
        return None
    try:
        raw = base64.b64decode(header + "=" * (-len(header) % 4), altchars=b"-_", validate=True)
        told = msgspec.json.decode(raw, type=AuthConfig)
    except (binascii.Error, ValueError):
        return None
    return credentials_of(told)


def credentials_of(told: AuthConfig) -> Credentials | None:
    """The same as our own type; None when it says nothing of a user."""
    username, password = told.username, told.password
    if told.auth and not username:
        username, password = _split(told.auth)
    if not (username or password or told.identitytoken or told.registrytoken or told.serveraddress):
        return None
    return Credentials(username, password, told.identitytoken, told.registrytoken, told.serveraddress)


def _split(auth: str) -> tuple[str, str]:
    """``auth`` of a config file: base64 of ``user:password``."""
    try:
        user, _, password = base64.b64decode(auth, validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        return "", ""
    return user, password.rstrip("\0")
