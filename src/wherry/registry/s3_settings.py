"""Where an S3 store is and how it is used, from the keys of Docker's registry (``storage: s3:``)."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from wherry.lib.errors import InvalidArgument
from wherry.registry.options import Options, flag, text
from wherry.registry.s3_sign import Key

PART_MIN = 5 * 1024 * 1024
"""Bytes; S3 takes no smaller part of a multipart upload, except as the last one."""
PART_DEFAULT = 10 * 1024 * 1024
COPY_PART_DEFAULT = 32 * 1024 * 1024
COPY_MAX = 5 * 1024 * 1024 * 1024
"""Bytes that one copy may move."""

_ADDRESS = re.compile(r"\[.*\]|[0-9.]+|localhost")


@dataclass(frozen=True, kw_only=True)
class S3Settings:
    """What the driver needs to know."""

    key: Key = field(repr=False)
    bucket: str
    host: str
    port: int
    tls: bool
    base: str
    """The path before every key: empty, or the bucket where it is no part of the host."""
    root: str
    verify: bool = True
    part_size: int = PART_DEFAULT
    copy_part_size: int = COPY_PART_DEFAULT
    copy_threshold: int = COPY_PART_DEFAULT
    user_agent: str = "wherry-registry"
    object_headers: Mapping[str, str] = field(default_factory=dict)
    """Sent where an object is made: encryption, storage class, access."""
    redirect_endpoint: str = ""

    @property
    def authority(self) -> str:
        """The Host header, also for signing."""
        return self.host if self.port == (443 if self.tls else 80) else f"{self.host}:{self.port}"


def parse_s3(options: Options, environment: Mapping[str, str] | None = None) -> S3Settings:
    """The settings that ``storage.s3`` describes. Raises InvalidArgument; keys that are no key of S3's are refused."""
    environment = os.environ if environment is None else environment
    unknown = sorted(set(options) - _KEYS)
    if unknown:
        raise InvalidArgument(f"storage: s3: unknown parameter {unknown[0]!r}")
    bucket, region = text(options, "bucket"), text(options, "region")
    for name, value in (("bucket", bucket), ("region", region)):
        if not value:
            raise InvalidArgument(f"No {name} parameter provided")
    if not flag("storage.s3", options, "v4auth", default=True):
        raise InvalidArgument("storage: s3: v4auth: false is not supported; no store needs version 2 signatures")
    endpoint = text(options, "regionendpoint")
    secure = flag("storage.s3", options, "secure", default=True)
    path_style = flag("storage.s3", options, "forcepathstyle", default=bool(endpoint)) or (secure and "." in bucket)
    if not endpoint:
        kind = (
            "s3-accelerate"
            if flag("storage.s3", options, "accelerate")
            else ("s3-fips" if flag("storage.s3", options, "usefipsendpoint") else "s3")
        )
        stack = ".dualstack" if flag("storage.s3", options, "usedualstack") else ""
        place = "" if kind == "s3-accelerate" else f".{region}"
        endpoint = f"{kind}{stack}{place}.amazonaws.com"
    host, port, tls = _endpoint(endpoint, secure=secure)
    path_style = path_style or _ADDRESS.fullmatch(host) is not None
    return S3Settings(
        key=_key(options, region, environment),
        bucket=bucket,
        host=host if path_style else f"{bucket}.{host}",
        port=port,
        tls=tls,
        base=f"/{bucket}" if path_style else "",
        root=text(options, "rootdirectory").strip("/"),
        verify=not flag("storage.s3", options, "skipverify"),
        part_size=_size(options, "chunksize", PART_DEFAULT),
        copy_part_size=_size(options, "multipartcopychunksize", COPY_PART_DEFAULT),
        copy_threshold=_size(options, "multipartcopythresholdsize", COPY_PART_DEFAULT),
        user_agent=text(options, "useragent") or "wherry-registry",
        object_headers=_object_headers(options),
        redirect_endpoint=text(options, "redirectendpoint").rstrip("/"),
    )


_KEYS = frozenset({
    "accelerate", "accesskey", "bucket", "chunksize", "encrypt", "forcepathstyle", "keyid", "loglevel",
    "multipartcopychunksize", "multipartcopymaxconcurrency", "multipartcopythresholdsize", "objectacl",
    "redirectendpoint", "region", "regionendpoint", "rootdirectory", "secretkey", "secure", "sessiontoken",
    "skipverify", "storageclass", "usedualstack", "usefipsendpoint", "useragent", "v4auth",
})  # fmt: skip


def _key(options: Options, region: str, environment: Mapping[str, str]) -> Key:
    access, secret = text(options, "accesskey"), text(options, "secretkey")
    session = text(options, "sessiontoken")
    if not access and not secret:
        access, secret = environment.get("AWS_ACCESS_KEY_ID", ""), environment.get("AWS_SECRET_ACCESS_KEY", "")
        session = session or environment.get("AWS_SESSION_TOKEN", "")
    if not access or not secret:
        raise InvalidArgument("storage: s3: accesskey and secretkey are needed (or AWS_ACCESS_KEY_ID and its secret)")
    return Key(access, secret, region, session=session)


def _endpoint(given: str, *, secure: bool) -> tuple[str, int, bool]:
    parts = urlsplit(given if "://" in given else f"{'https' if secure else 'http'}://{given}")
    try:
        port = parts.port
    except ValueError:
        port = -1
    if parts.scheme not in ("http", "https") or not parts.hostname or port == -1 or parts.path.strip("/"):
        raise InvalidArgument(f"storage: s3: {given!r} is no endpoint")
    tls = parts.scheme == "https"
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return host, port or (443 if tls else 80), tls


def _object_headers(options: Options) -> dict[str, str]:
    headers = {}
    if flag("storage.s3", options, "encrypt"):
        key_id = text(options, "keyid")
        headers["x-amz-server-side-encryption"] = "aws:kms" if key_id else "AES256"
        if key_id:
            headers["x-amz-server-side-encryption-aws-kms-key-id"] = key_id
    storage_class = text(options, "storageclass")
    if storage_class and storage_class != "NONE":
        headers["x-amz-storage-class"] = storage_class
    if acl := text(options, "objectacl"):
        headers["x-amz-acl"] = acl
    return headers


def _size(options: Options, name: str, default: int) -> int:
    value = options.get(name)
    if value is None or value == "":
        return default
    try:
        size = int(str(value))
    except ValueError:
        raise InvalidArgument(f"the {name} parameter should be a number of bytes") from None
    if not PART_MIN <= size <= COPY_MAX // 2:
        raise InvalidArgument(f"the {name} {size} parameter should be between {PART_MIN} and {COPY_MAX // 2} bytes")
    return size
