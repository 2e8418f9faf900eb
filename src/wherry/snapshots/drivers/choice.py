"""Which driver new containers get, and which one an old container has."""

from __future__ import annotations

import logging
import os
from pathlib import Path

from wherry.lib.errors import InvalidArgument, Unavailable
from wherry.snapshots.drivers.fuse import MERGED, FuseDriver
from wherry.snapshots.drivers.native import STAMP, NativeDriver
from wherry.snapshots.drivers.overlay import OverlayDriver
from wherry.snapshots.drivers.protocol import Driver

logger = logging.getLogger(__name__)


def select(asked: str, root: Path) -> Driver:
    """The driver called ``asked``, or, for an empty name, the first that works: overlay, fuse-overlayfs, native.

    Raises InvalidArgument for an unknown name, Unavailable when the one asked for does not work below ``root``.
    """
    if asked:
        driver = _named(asked)
        driver.probe(root)
        return driver
    candidates: tuple[Driver, ...] = (OverlayDriver(), FuseDriver())
    for driver in candidates:
        try:
            driver.probe(root)
        except Unavailable as error:
            logger.warning("storage driver %s is passed over: %s", driver.name, error)
        else:
            return driver
    last = NativeDriver()
    last.probe(root)
    return last


def _named(name: str) -> Driver:
    if name in ("overlay", "overlay2"):
        return OverlayDriver()
    if name in ("native", "vfs"):
        return NativeDriver(name)
    if name == FuseDriver.name:
        return FuseDriver()
    raise InvalidArgument(f"error initializing graphdriver: driver not supported: {name}")


class Drivers:
    """The chosen driver, and the others for containers that they made."""

    def __init__(self, chosen: Driver) -> None:
        self.chosen = chosen
        native = chosen if isinstance(chosen, NativeDriver) else NativeDriver()
        self._native: Driver = native
        self._fuse: Driver = FuseDriver()
        self._overlay: Driver = OverlayDriver()

    def of(self, own: str) -> Driver:
        """The driver of the snapshot in ``own``."""
        if os.path.lexists(f"{own}/{STAMP}"):
            return self._native
        if os.path.lexists(f"{own}/{MERGED}"):
            return self._fuse
        return self._overlay
