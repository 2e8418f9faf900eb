"""A read-only look at overlay layers that no mount namespace ever sees. Imports ctypes, os."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence

from wherry.linux.filesystem import configure, fsmount, fsopen
from wherry.linux.namespaces import IN_USER_NAMESPACE


def open_view(lower: Sequence[str]) -> int:
    """A descriptor of the root of ``lower`` (at least two directories, top-most first) merged; closing it ends it.

    Raises OSError. Kernels before 6.5 take all the layers as one string, of 255 bytes at most (EINVAL beyond).
    """
    context = fsopen("overlay")
    try:
        configure(context, "ro")
        if IN_USER_NAMESPACE:
            configure(context, "userxattr")
        try:
            for layer in lower:
                configure(context, "lowerdir+", layer)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            configure(context, "lowerdir", ":".join(lower))
        return fsmount(context)
    finally:
        os.close(context)
