"""The user's settings, ~/.docker/config.json, shared with the docker command."""

from __future__ import annotations

import os

from wherry.cli.errors import CliError
from wherry.client.jsonio import loads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

_PROXIES = {
    "httpProxy": "HTTP_PROXY",
    "httpsProxy": "HTTPS_PROXY",
    "noProxy": "NO_PROXY",
    "ftpProxy": "FTP_PROXY",
    "allProxy": "ALL_PROXY",
}


def default_directory() -> str:
    """$DOCKER_CONFIG, else ~/.docker."""
    return os.environ.get("DOCKER_CONFIG") or os.path.join(os.path.expanduser("~"), ".docker")


def _read(path: str) -> Any:
    """A file's document, None if there is none."""
    try:
        with open(path, "rb") as file:
            return loads(file.read())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        raise CliError(f"WARNING: Error loading config file: {path}: {error}") from error


class Config:
    """config.json, read once; a missing file is an empty one."""

    def __init__(self, directory: str) -> None:
        self.directory = directory or default_directory()
        self.path = os.path.join(self.directory, "config.json")
        self._values: dict[str, Any] = _read(self.path) or {}

    def text(self, key: str) -> str:
        """A setting that is text, empty if unset."""
        value = self._values.get(key, "")
        return value if isinstance(value, str) else ""

    def table(self, key: str) -> dict[str, Any]:
        """A setting that is an object, empty if unset."""
        value = self._values.get(key)
        return value if isinstance(value, dict) else {}

    def save(self, changes: Mapping[str, Any]) -> None:
        """Change settings, and the file with them; what it says beyond them stays. Raises ``CliError``."""
        from wherry.cli.config_file import write_config

        values = {**changes, **self._values, **changes}
        write_config(self.path, values)
        self._values = values

    def prune_filters(self) -> list[str]:
        """Filters to add to every prune, as key=value."""
        return [str(one) for one in self._values.get("pruneFilters") or []]

    def proxies(self, host: str) -> dict[str, str]:
        """Proxy variables for new containers of the daemon at ``host``."""
        table = self._values.get("proxies") or {}
        chosen = table.get(host) or table.get("default") or {}
        found = {}
        for key, name in _PROXIES.items():
            if chosen.get(key):
                found[name] = found[name.lower()] = str(chosen[key])
        return found

    def context_host(self, name: str) -> str:
        """The daemon's address that a context names. Raises ``CliError`` if there is no such context."""
        import hashlib

        label = hashlib.sha256(name.encode()).hexdigest()
        path = os.path.join(self.directory, "contexts", "meta", label, "meta.json")
        meta = _read(path)
        if meta is None:
            raise CliError(
                f'Failed to initialize: unable to resolve docker endpoint: context "{name}": context not found: '
                f"open {path}: no such file or directory"
            )
        return str(meta.get("Endpoints", {}).get("docker", {}).get("Host", ""))
