"""Where the user's registry credentials are: in config.json, or with a helper program that config.json names.

    auths         host → {"auth": base64 of user:password, "identitytoken": …}
    credsStore    NAME: the program docker-credential-NAME keeps all of them
    credHelpers   host → NAME: that program keeps this registry's

A helper is run with one word, get, store or erase, and talks JSON over its standard streams.
"""

from __future__ import annotations

from binascii import Error as BadBase64
from binascii import a2b_base64, b2a_base64

from wherry.cli.errors import CliError
from wherry.client.jsonio import dumps, loads
from wherry.client.registry_auth import RegistryAuth, host_of, key_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from wherry.cli.app import App
    from wherry.cli.config import Config

_TOKEN_USER = "<token>"  # noqa: S105  a helper's word for: the secret is an identity token
_MISSING = "credentials not found in native keychain"
_UNENCRYPTED = """
WARNING! Your credentials are stored unencrypted in '{}'.
Configure a credential helper to remove this warning. See
https://docs.docker.com/go/credential-store/
"""


class FileStore:
    """Credentials in config.json itself."""

    def __init__(self, config: Config) -> None:
        self._config = config

    def get(self, server: str) -> RegistryAuth:
        """The credentials kept under ``server``, or under an address of the same host as older programs wrote it."""
        entries = self._config.table("auths")
        if server in entries:
            return _decoded(server, entries[server], self._config.path)
        for name, entry in entries.items():
            if host_of(name) == server:
                return _decoded(name, entry, self._config.path)
        return RegistryAuth()

    def store(self, auth: RegistryAuth) -> str:
        """Keep them; returns what the user should be warned of."""
        entry = {
            "auth": _encoded(auth) if auth.username or auth.password else "",
            "email": auth.email,
            "identitytoken": auth.identity_token,
            "registrytoken": auth.registry_token,
        }
        entry = {key: value for key, value in entry.items() if value}
        entries = self._config.table("auths")
        if entries.get(auth.server) == entry:
            return ""
        self._config.save({"auths": dict(sorted({**entries, auth.server: entry}.items()))})
        return _UNENCRYPTED.format(self._config.path) if auth.password else ""

    def erase(self, server: str) -> None:
        """Forget them; knowing none is no error."""
        entries = dict(self._config.table("auths"))
        if entries.pop(server, None) is not None:
            self._config.save({"auths": entries})


class HelperStore:
    """Credentials with the program docker-credential-NAME; config.json keeps the registry's name and nothing more."""

    def __init__(self, name: str, file: FileStore) -> None:
        self._program = f"docker-credential-{name}"
        self._file = file

    def get(self, server: str) -> RegistryAuth:
        """The credentials that the program has. Raises ``CliError``."""
        code, said = self._run("get", server)
        if code and said == _MISSING:
            return RegistryAuth()
        if code:
            raise CliError(f"error getting credentials - err: exit status {code}, out: `{said}`")
        try:
            found = loads(said)
            user, secret = str(found["Username"]), str(found["Secret"])
        except (ValueError, TypeError, KeyError) as error:
            raise CliError(f"error getting credentials - err: {self._program} answers no credentials") from error
        if user == _TOKEN_USER:
            return RegistryAuth(server, identity_token=secret)
        return RegistryAuth(server, username=user, password=secret)

    def store(self, auth: RegistryAuth) -> str:
        """Hand them to the program. Raises ``CliError``."""
        user, secret = (_TOKEN_USER, auth.identity_token) if auth.identity_token else (auth.username, auth.password)
        code, said = self._run("store", dumps({"ServerURL": auth.server, "Username": user, "Secret": secret}))
        if code:
            raise CliError(f"error storing credentials - err: exit status {code}, out: `{said}`")
        return self._file.store(RegistryAuth(auth.server, email=auth.email))

    def erase(self, server: str) -> None:
        """Let the program forget them. Raises ``CliError``."""
        code, said = self._run("erase", server)
        if code:
            raise CliError(f"error erasing credentials - err: exit status {code}, out: `{said}`")
        self._file.erase(server)

    def _run(self, word: str, given: str) -> tuple[int, str]:
        import subprocess

        doing = {"get": "getting", "store": "storing", "erase": "erasing"}[word]
        try:
            done = subprocess.run(
                [self._program, word], input=given.encode(), stdout=subprocess.PIPE, check=False, timeout=None
            )
        except OSError as error:
            why = (error.strerror or "").lower()
            if isinstance(error, FileNotFoundError):
                why = "executable file not found in $PATH"
            raise CliError(f'error {doing} credentials - err: exec: "{self._program}": {why}, out: ``') from error
        return done.returncode, done.stdout.decode("utf-8", "replace").strip()


def store_for(config: Config, server: str) -> FileStore | HelperStore:
    """The store that keeps this registry's credentials."""
    file = FileStore(config)
    helper = config.table("credHelpers").get(server) or config.text("credsStore") or _default_helper(config)
    return HelperStore(str(helper), file) if helper else file


def credentials(app: App, domain: str) -> RegistryAuth:
    """The credentials for a registry; nameless ones if there are none, or if the helper that has them fails."""
    return known(app, key_of(domain))


def known(app: App, server: str) -> RegistryAuth:
    """The same by the name that they are kept under."""
    try:
        return store_for(app.config, server).get(server)
    except CliError:
        return RegistryAuth()


def _default_helper(config: Config) -> str:
    """Who keeps no credentials yet gets the desktop's keeper, if its helper is installed."""
    if config.table("auths") or config.table("credHelpers"):
        return ""
    from shutil import which

    name = "pass" if which("pass") else "secretservice"
    return name if which(f"docker-credential-{name}") else ""


def _encoded(auth: RegistryAuth) -> str:
    return b2a_base64(f"{auth.username}:{auth.password}".encode("utf-8", "surrogateescape"), newline=False).decode()


def _decoded(server: str, entry: Any, path: str) -> RegistryAuth:
    """An entry of ``auths``. Raises ``CliError`` if it makes no sense."""
    entry = entry if isinstance(entry, dict) else {}
    user, password = str(entry.get("username", "")), str(entry.get("password", ""))
    if entry.get("auth"):
        try:
            text = a2b_base64(str(entry["auth"]), strict_mode=True).decode("utf-8", "surrogateescape")
        except (BadBase64, ValueError) as error:
            raise CliError(f"WARNING: Error parsing config file ({path}): illegal base64 data") from error
        user, colon, password = text.partition(":")
        if not colon or not user:
            raise CliError(f"WARNING: Error parsing config file ({path}): invalid auth configuration file")
    return RegistryAuth(
        server,
        username=user,
        password=password.strip("\x00"),
        email=str(entry.get("email", "")),
        identity_token=str(entry.get("identitytoken", "")),
        registry_token=str(entry.get("registrytoken", "")),
    )
