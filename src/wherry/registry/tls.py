"""TLS of the registry's listener, from ``http.tls``. Certificates that are renewed are taken up without a restart."""

from __future__ import annotations

import logging
import os
import ssl
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from wherry.lib.errors import InvalidArgument
from wherry.registry.options import Options, strings, text

T = TypeVar("T")

logger = logging.getLogger(__name__)

VERSIONS = {
    "": ssl.TLSVersion.TLSv1_2,
    "tls1.0": ssl.TLSVersion.TLSv1,
    "tls1.1": ssl.TLSVersion.TLSv1_1,
    "tls1.2": ssl.TLSVersion.TLSv1_2,
    "tls1.3": ssl.TLSVersion.TLSv1_3,
}
CLIENT_AUTH = {
    "": ssl.CERT_REQUIRED,
    "require-and-verify-client-cert": ssl.CERT_REQUIRED,
    "verify-client-cert-if-given": ssl.CERT_OPTIONAL,
}
"""The two other modes of Docker's registry ask for a certificate and do not look at it; OpenSSL does not do that."""

CIPHERS = {
    "TLS_RSA_WITH_AES_128_CBC_SHA": "AES128-SHA",
    "TLS_RSA_WITH_AES_256_CBC_SHA": "AES256-SHA",
    "TLS_RSA_WITH_AES_128_CBC_SHA256": "AES128-SHA256",
    "TLS_RSA_WITH_AES_128_GCM_SHA256": "AES128-GCM-SHA256",
    "TLS_RSA_WITH_AES_256_GCM_SHA384": "AES256-GCM-SHA384",
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA": "ECDHE-ECDSA-AES128-SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA": "ECDHE-ECDSA-AES256-SHA",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA": "ECDHE-RSA-AES128-SHA",
    "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA": "ECDHE-RSA-AES256-SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256": "ECDHE-ECDSA-AES128-SHA256",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256": "ECDHE-RSA-AES128-SHA256",
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256": "ECDHE-RSA-AES128-GCM-SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256": "ECDHE-ECDSA-AES128-GCM-SHA256",
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384": "ECDHE-RSA-AES256-GCM-SHA384",
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384": "ECDHE-ECDSA-AES256-GCM-SHA384",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-RSA-CHACHA20-POLY1305",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-ECDSA-CHACHA20-POLY1305",
}
CIPHERS_13 = frozenset({"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"})
"""TLS 1.3's are always on."""
DEFAULT_CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"


@dataclass(frozen=True, kw_only=True)
class TlsSettings:
    """What ``http.tls`` says."""

    certificate: str
    key: str
    minimum: ssl.TLSVersion = ssl.TLSVersion.TLSv1_2
    client_cas: Sequence[str] = ()
    client_auth: ssl.VerifyMode = ssl.CERT_REQUIRED
    ciphers: str = DEFAULT_CIPHERS

    @property
    def files(self) -> tuple[str, ...]:
        """All of them."""
        return (self.certificate, self.key, *self.client_cas)


def parse_tls(options: Options) -> TlsSettings | None:
    """The settings of ``http.tls``; None where neither a certificate nor a key is named. Raises InvalidArgument."""
    if options.get("letsencrypt"):
        raise InvalidArgument("http.tls.letsencrypt is not supported; name a certificate and a key")
    certificate, key = text(options, "certificate"), text(options, "key")
    if not certificate and not key:
        return None
    if not certificate or not key:
        raise InvalidArgument("http.tls needs both a certificate and a key")
    return TlsSettings(
        certificate=certificate,
        key=key,
        minimum=_chosen(VERSIONS, options, "minimumtls"),
        client_cas=strings("http.tls", options, "clientcas"),
        client_auth=_chosen(CLIENT_AUTH, options, "clientauth"),
        ciphers=_ciphers(strings("http.tls", options, "ciphersuites")),
    )


class TlsContexts:
    """Gives the context for each new connection, made anew when one of the files has changed."""

    def __init__(self, settings: TlsSettings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._stamps = self._stamp()
        self._context = make_context(settings)

    def __call__(self) -> ssl.SSLContext:
        """The context of this moment; files that cannot be read leave the last good one."""
        with self._lock:
            try:
                stamps = self._stamp()
                if stamps != self._stamps:
                    self._stamps = stamps
                    self._context = make_context(self._settings)
                    logger.info("http.tls: certificates read anew")
            except (OSError, InvalidArgument) as error:
                logger.warning("http.tls: the present certificates stay in use: %s", error)
            return self._context

    def _stamp(self) -> tuple[tuple[int, int, int], ...]:
        try:
            found = [os.stat(path) for path in self._settings.files]
        except OSError as error:
            raise InvalidArgument(f"http.tls: {error.filename}: {error.strerror}") from error
        return tuple((one.st_ino, one.st_mtime_ns, one.st_size) for one in found)


def make_context(settings: TlsSettings) -> ssl.SSLContext:
    """A server's context. Raises InvalidArgument for files that are no such thing."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = settings.minimum
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.set_ciphers(settings.ciphers)
        context.load_cert_chain(settings.certificate, settings.key)
        for path in settings.client_cas:
            context.load_verify_locations(path)
    except (OSError, ssl.SSLError) as error:
        raise InvalidArgument(f"http.tls: {error} ({', '.join(settings.files)})") from error
    if settings.client_cas:
        context.verify_mode = settings.client_auth
    return context


def _ciphers(names: Sequence[str]) -> str:
    for name in names:
        if name not in CIPHERS and name not in CIPHERS_13:
            raise InvalidArgument(f"http.tls.ciphersuites: unknown or unsafe cipher suite {name!r}")
    return ":".join(CIPHERS[name] for name in names if name in CIPHERS) or DEFAULT_CIPHERS


def _chosen(table: Mapping[str, T], options: Options, name: str) -> T:
    value = text(options, name)
    if value not in table:
        raise InvalidArgument(f"http.tls.{name}: {value!r} is none of {', '.join(filter(None, table))}")
    return table[value]
