"""Content-addressed blobs: configs, layers as they came, manifests. Files only; state records what is wanted.

    <data-root>/content/
        blobs/sha256/<hex>     whole and verified, never changed
        ingest/<random>        on the way in; start-up removes all of it
        ingest/<hex>.partial   being downloaded; what a crash leaves of it is continued, see ``partials``

A blob goes stage → hash → verify → fsync → rename → fsync of the directory, and is recorded afterwards. A file that is
not recorded is garbage; a record whose file is missing or of another size is damage, which is named and survived.
"""

from wherry.content.ingest import Staged
from wherry.content.store import ContentStore, Damage

__all__ = ["ContentStore", "Damage", "Staged"]
