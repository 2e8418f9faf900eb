"""A new file system's options, as mount(2) takes them and as fsconfig(2) does."""

from __future__ import annotations

from wherry.linux.mounts import (
    MS_DIRSYNC,
    MS_LAZYTIME,
    MS_MANDLOCK,
    MS_RDONLY,
    MS_SYNCHRONOUS,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wherry.runtime.init_mounts import Mount

# Those of mount(2)'s flags that are the super block's, by the kernel's names; the others are attributes of the mount.
_SUPER_BLOCK = (
    (MS_RDONLY, "ro"),
    (MS_SYNCHRONOUS, "sync"),
    (MS_DIRSYNC, "dirsync"),
    (MS_LAZYTIME, "lazytime"),
    (MS_MANDLOCK, "mand"),
)
# SELinux has no labels of its own there, or they are given otherwise.
_UNLABELLED = frozenset(("proc", "sysfs", "mqueue"))


def mount_data(mount: Mount, further: list[str], label: str) -> str:
    """The last argument of mount(2)."""
    words = [*further, *mount.data]
    if label and mount.fstype not in _UNLABELLED:
        words.append(f'context="{label}"')  # quoted: a label has commas
    return ",".join(words)


def filesystem_options(
    mount: Mount, further: list[str] | None = None, label: str = "", *, read_only: bool = True
) -> list[tuple[str, str | None]]:
    """Keys and values for fsconfig(2); ``read_only=False`` leaves a ``ro`` for later."""
    options: list[tuple[str, str | None]] = [("source", mount.source or mount.fstype)]
    flags = mount.flags if read_only else mount.flags & ~MS_RDONLY
    options += [(name, None) for flag, name in _SUPER_BLOCK if flags & flag]
    for word in (*(further or ()), *mount.data):
        for part in word.split(","):
            key, equals, value = part.partition("=")
            if key:
                options.append((key, value if equals else None))
    if label and mount.fstype not in _UNLABELLED:
        options.append(("context", label))
    return options
