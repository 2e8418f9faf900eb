"""``wherry system fsck``: state, disk and kernel compared, each difference named and mended (beyond Docker).

    state.db ──┬── blobs, layers, images, leases          ─── files below content/ and snapshots/
               ├── containers, volumes                    ─── directories, runtime bundles, control groups, mounts
               └── networks, endpoints                    ─── bridges, links, namespaces, the nftables table

A check is one small class that looks (``finding.Check``); ``service`` runs them in order and confirms what they find.
What is damaged beyond repair is taken away, so that it counts as missing and the next pull or load brings it again.
"""

from wherry.engine.system.fsck.checks import make_fsck
from wherry.engine.system.fsck.finding import Checked, Finding, Judged, Summary
from wherry.engine.system.fsck.service import Fsck

__all__ = ["Checked", "Finding", "Fsck", "Judged", "Summary", "make_fsck"]
