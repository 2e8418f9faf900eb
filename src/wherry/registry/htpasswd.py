"""Apache's htpasswd file, bcrypt entries alone, as Docker's registry takes it.

    # a comment
    name:$2y$05$…

The file is read again when it changes. Blocking, and slow on purpose (bcrypt): call it from a worker thread. A password
that was found right is remembered as a keyed digest, so that the thirty requests of one pull cost one bcrypt.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import logging
import os
import secrets
import threading
from collections import OrderedDict
from collections.abc import Mapping

import bcrypt

from wherry.lib.errors import InvalidArgument, Unavailable

logger = logging.getLogger(__name__)

PASSWORD_MAX = 72
"""Bytes; bcrypt looks at no more, and Go's registry cuts there too."""
FILE_MAX = 16 * 1024 * 1024
REMEMBERED_MAX = 1024
HASHING_MAX = 2
"""Passwords hashed at once: strangers who guess must not take every processor."""
PROVISIONED_USER = "docker"

_DUMMY = b"$2b$10$abcdefghijklmnopqrstuuhdS5s41EKp9O8iGn2dB1t9Rtkq5nMeW"
"""Checked for a name that is not there, so that the answer's time does not tell who is."""


def parse_htpasswd(text: str) -> dict[str, bytes]:
    """The hash of each name. Raises InvalidArgument for a line that is no entry."""
    entries: dict[str, bytes] = {}
    for number, line in enumerate(text.splitlines(), 1):
        entry = line.strip()
        if not entry or entry.startswith("#"):
            continue
        name, colon, digest = entry.partition(":")
        if not colon:
            raise InvalidArgument(f"htpasswd: invalid entry at line {number}: {entry[:40]!r}")
        entries[name] = digest.encode()
    return entries


class Htpasswd:
    """The names and passwords of one file. Safe to use from several threads."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._hashing = threading.BoundedSemaphore(HASHING_MAX)
        self._stamp: tuple[int, int, int] | None = None
        self._entries: Mapping[str, bytes] = {}
        self._key = secrets.token_bytes(32)
        self._remembered: OrderedDict[bytes, None] = OrderedDict()

    def verify(self, name: str, password: str) -> bool:
        """Whether ``password`` is that of ``name``. Raises Unavailable where the file cannot be read."""
        digest = self._current().get(name)
        if digest is None:
            self._matches(password, _DUMMY)
            return False
        proof = hmac.digest(self._key, b"\0".join((name.encode(), password.encode(), digest)), hashlib.sha256)
        with self._lock:
            if proof in self._remembered:
                self._remembered.move_to_end(proof)
                return True
        if not self._matches(password, digest):
            return False
        with self._lock:
            self._remembered[proof] = None
            while len(self._remembered) > REMEMBERED_MAX:
                self._remembered.popitem(last=False)
        return True

    def provision(self) -> None:
        """Where no file is, make one with one user and a password that the log tells, as Docker's registry does."""
        if os.path.lexists(self.path):
            return
        password = base64.urlsafe_b64encode(secrets.token_bytes(32)).rstrip(b"=").decode()
        digest = bcrypt.hashpw(password.encode(), bcrypt.gensalt(10)).decode()
        os.makedirs(os.path.dirname(self.path) or ".", mode=0o700, exist_ok=True)
        fd = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "w") as file:
            file.write(f"{PROVISIONED_USER}:{digest}\n")
        logger.warning(
            "htpasswd is missing, provisioning with default user: user=%s password=%s", PROVISIONED_USER, password
        )

    def _current(self) -> Mapping[str, bytes]:
        try:
            found = os.stat(self.path)
            stamp = (found.st_mtime_ns, found.st_size, found.st_ino)
            with self._lock:
                if stamp != self._stamp:
                    with open(self.path, encoding="utf-8") as file:
                        self._entries = parse_htpasswd(file.read(FILE_MAX))
                    self._stamp = stamp
                    self._remembered.clear()
                return self._entries
        except (OSError, UnicodeDecodeError) as error:
            raise Unavailable(f"htpasswd: cannot read {self.path}: {error}") from error

    def _matches(self, password: str, digest: bytes) -> bool:
        with self._hashing:
            try:
                return bcrypt.checkpw(password.encode()[:PASSWORD_MAX], digest)
            except ValueError:  # not a bcrypt hash, or a password with a NUL
                return False
