"""Storage drivers: how a container's writable snapshot becomes the directory that it takes for "/".

Layers look the same to all of them (overlayfs' own form, see ``snapshots``), so images survive a change of the driver.
A container stays with the driver that made it; which one that was its directory says:

    <n>/fs <n>/work              overlay         the runtime mounts an overlay in the container's own mount namespace
    <n>/fs <n>/work <n>/merged   fuse-overlayfs  mounted on ``merged`` by a process that outlives the daemon
    <n>/root <n>/copied          native          ``root`` is a copy of all layers, ``copied`` the moment it was done
                                                 (``copying`` until then)
"""

from wherry.snapshots.drivers.choice import Drivers, select
from wherry.snapshots.drivers.protocol import Driver, IdMaps

__all__ = ["Driver", "Drivers", "IdMaps", "select"]
