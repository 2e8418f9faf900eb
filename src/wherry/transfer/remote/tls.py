"""TLS contexts by registry: the system's authorities, and the files of ``certs.d/<host:port>/`` as dockerd reads them.

ca.crt, *.crt              further authorities
client.cert, client.key    a certificate of our own and its key, in pairs
"""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from wherry.lib.errors import InvalidArgument

_Stamp = tuple[tuple[str, int, int], ...]


class Contexts:
    """Made when first needed, and again when the files have changed. Thread-safe."""

    def __init__(self, directories: Sequence[Path]) -> None:
        self._directories = directories
        self._lock = threading.Lock()
        self._made: dict[tuple[str, bool], tuple[_Stamp, ssl.SSLContext]] = {}

    def context(self, netloc: str, *, verify: bool) -> ssl.SSLContext:
        """The context for a registry. Raises InvalidArgument for files that do not fit together."""
        files = self._files(netloc) if verify else []
        stamp = tuple((str(path), stat.st_mtime_ns, stat.st_size) for path in files for stat in (path.stat(),))
        with self._lock:
            known = self._made.get((netloc if files else "", verify))
            if known is not None and known[0] == stamp:
                return known[1]
            context = _make(files, verify=verify)
            self._made[netloc if files else "", verify] = stamp, context
            return context

    def _files(self, netloc: str) -> list[Path]:
        if "/" in netloc or netloc in {"", ".", ".."}:
            return []
        found: list[Path] = []
        for directory in self._directories:
            try:
                found += sorted(path for path in (directory / netloc).iterdir() if path.is_file())
            except (FileNotFoundError, NotADirectoryError):
                continue
            except OSError as error:
                raise InvalidArgument(f"open {directory / netloc}: {(error.strerror or str(error)).lower()}") from None
        return found


def _make(files: Sequence[Path], *, verify: bool) -> ssl.SSLContext:
    # Where nobody vouches for anybody the system's authorities need not be read, which takes longer than a handshake.
    context = ssl.create_default_context() if verify else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    for path in files:
        if path.suffix == ".crt":
            _load(path, partial(context.load_verify_locations, cafile=path))
        elif path.suffix == ".cert":
            key = path.with_suffix(".key")
            if key not in files:
                raise InvalidArgument(
                    f"missing key {key.name} for client certificate {path.name}. "
                    "CA certificates must use the extension .crt"
                )
            _load(path, partial(context.load_cert_chain, path, key))
        elif path.suffix == ".key" and path.with_suffix(".cert") not in files:
            raise InvalidArgument(f"missing client certificate {path.with_suffix('.cert').name} for key {path.name}")
    return context


def _load(path: Path, load: Callable[[], None]) -> None:
    try:
        load()
    except (ssl.SSLError, OSError, ValueError) as error:
        raise InvalidArgument(f"failed to load {path}: {error}") from None
