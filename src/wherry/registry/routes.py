"""Which operation a path asks for (distribution-spec, "Endpoints").

    /v2/                                    base
    /v2/_catalog                            catalog
    /v2/<name>/tags/list                    tags
    /v2/<name>/manifests/<tag or digest>    manifest
    /v2/<name>/blobs/<digest>               blob
    /v2/<name>/blobs/uploads/               uploads
    /v2/<name>/blobs/uploads/<uuid>         upload
    /v2/<name>/referrers/<digest>           referrers

The shape alone decides here, so that a name or digest that is none can be refused as such.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

BASE, CATALOG, TAGS, MANIFEST = "base", "catalog", "tags", "manifest"
BLOB, UPLOADS, UPLOAD, REFERRERS = "blob", "uploads", "upload", "referrers"

_SHAPES = (
    (TAGS, re.compile(r"(.+)/tags/list", re.DOTALL)),
    (UPLOADS, re.compile(r"(.+)/blobs/uploads/?", re.DOTALL)),
    (UPLOAD, re.compile(r"(.+)/blobs/uploads/([^/]+)", re.DOTALL)),
    (BLOB, re.compile(r"(.+)/blobs/([^/]+)", re.DOTALL)),
    (MANIFEST, re.compile(r"(.+)/manifests/([^/]+)", re.DOTALL)),
    (REFERRERS, re.compile(r"(.+)/referrers/([^/]+)", re.DOTALL)),
)
ROOT = "/v2/"


@dataclass(frozen=True, slots=True)
class Target:
    """What a request is about; ``name`` and ``reference`` are unchecked."""

    route: str
    name: str = ""
    reference: str = ""
    """Tag, digest or upload id."""


def find_route(path: str) -> Target | None:
    """The target of a decoded path, or None for none of ours."""
    if path in (ROOT, "/v2"):
        return Target(BASE)
    if not path.startswith(ROOT):
        return None
    rest = path[len(ROOT) :]
    if rest == "_catalog":
        return Target(CATALOG)
    for route, shape in _SHAPES:
        match = shape.fullmatch(rest)
        if match is not None:
            return Target(route, *match.groups())
    return None
