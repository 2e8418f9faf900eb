"""Where things lie in the storage: the layout of Docker's registry, so that either serves the other's data.

    docker/registry/v2/
    ├── blobs/sha256/ab/abcd…/data
    └── repositories/<name>/
        ├── _layers/sha256/<hex>/link                    this repository has the blob
        ├── _manifests/
        │   ├── revisions/sha256/<hex>/link              this repository has the manifest
        │   └── tags/<tag>/
        │       ├── current/link                         what the tag names
        │       └── index/sha256/<hex>/link              what it named, ever
        └── _uploads/<uuid>/{data,startedat}             not finished yet

A link is a file that holds a digest. Manifests are blobs too. Names from ``names`` are safe here without a look.
"""

from __future__ import annotations

ROOT = "docker/registry/v2"
REPOSITORIES = f"{ROOT}/repositories"
BLOBS = f"{ROOT}/blobs"
LAYERS, MANIFESTS, UPLOADS = "_layers", "_manifests", "_uploads"


def blob(digest: str) -> str:
    """The directory of a blob."""
    algorithm, _, encoded = digest.partition(":")
    return f"{BLOBS}/{algorithm}/{encoded[:2]}/{encoded}"


def blob_data(digest: str) -> str:
    """The bytes of a blob."""
    return f"{blob(digest)}/data"


def repository(name: str) -> str:
    """Everything of a repository, and of those whose names begin with its."""
    return f"{REPOSITORIES}/{name}"


def layers(name: str) -> str:
    """The blobs of a repository, by algorithm."""
    return f"{REPOSITORIES}/{name}/{LAYERS}"


def layer(name: str, digest: str) -> str:
    """The directory that says that a repository has a blob."""
    return f"{layers(name)}/{_split(digest)}"


def revisions(name: str) -> str:
    """The manifests of a repository, by algorithm."""
    return f"{REPOSITORIES}/{name}/{MANIFESTS}/revisions"


def revision(name: str, digest: str) -> str:
    """The directory that says that a repository has a manifest."""
    return f"{revisions(name)}/{_split(digest)}"


def tags(name: str) -> str:
    """The tags of a repository."""
    return f"{REPOSITORIES}/{name}/{MANIFESTS}/tags"


def tag(name: str, tag_name: str) -> str:
    """All about a tag."""
    return f"{tags(name)}/{tag_name}"


def tag_current(name: str, tag_name: str) -> str:
    """The link to what a tag names."""
    return f"{tag(name, tag_name)}/current/link"


def tag_index(name: str, tag_name: str, digest: str) -> str:
    """The link that says that a tag has named a manifest."""
    return f"{tag(name, tag_name)}/index/{_split(digest)}/link"


def uploads(name: str) -> str:
    """The unfinished uploads of a repository."""
    return f"{REPOSITORIES}/{name}/{UPLOADS}"


def upload(name: str, identifier: str) -> str:
    """All about an unfinished upload."""
    return f"{uploads(name)}/{identifier}"


def link(directory: str) -> str:
    """The file in a link's directory."""
    return f"{directory}/link"


def _split(digest: str) -> str:
    return digest.replace(":", "/", 1)
