"""Where the runtime remembers its containers. What state one is in the kernel says, see ``status``.

<root>/                 0700; /run/wherry-oci, without root $XDG_RUNTIME_DIR/wherry-oci
    .seccomp/           compiled filters by content
    <id>/               0711, made first and removed last: it reserves the id
        state.json      the record, see ``Container``; replaced whole
        start.sock      the gate: init listens there until it is started
        notify/         the socket for sd_notify(3), if the caller has one
"""

from __future__ import annotations

import fcntl
import os

from wherry.runtime import bundle_files
from wherry.runtime.oci.errors import Failure, NoContainer, strerror
from wherry.runtime.version import VERSION

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Record = dict[str, Any]

DEFAULT_ROOT = "/run/wherry-oci"
SECCOMP = ".seccomp"
_STATE = "state.json"
_LONGEST = 255


class Container:
    """One container's directory and record.

    The record, by name: ``id``, ``bundle``, ``rootfs``, ``created`` (RFC 3339), ``pid`` and ``start`` (init, and when
    it started: ``linux.pidfd``), ``cgroup`` (a path of ``Cgroups``, empty for none), ``systemd`` (the driver),
    ``creator`` (the same pair of who is still creating it, else None), ``config`` (config.json as it was).
    """

    def __init__(self, directory: str, record: Record) -> None:
        self.directory = directory
        self.record = record

    @property
    def id(self) -> str:
        """As the user gave it."""
        return str(self.record["id"])

    @property
    def pid(self) -> int:
        """Of init, in the runtime's pid namespace."""
        return int(self.record["pid"])

    @property
    def config(self) -> dict[str, Any]:
        """config.json as it was when the container was created; updates change its resources."""
        config: dict[str, Any] = self.record["config"]
        return config

    @property
    def cgroup(self) -> str:
        """Empty for none."""
        return str(self.record["cgroup"])

    @property
    def limited_by(self) -> str:
        """Its group, for what cannot be done without one. Raises Failure."""
        if not self.cgroup:
            raise Failure("the container has no cgroup of its own")
        return self.cgroup

    @property
    def gate(self) -> str:
        """The socket that init listens on until it is started."""
        return f"{self.directory}/start.sock"

    @property
    def own_pid_namespace(self) -> bool:
        """Whether init's end is the end of all its processes."""
        namespaces = (self.config.get("linux") or {}).get("namespaces") or ()
        return any(entry["type"] == "pid" and not entry.get("path") for entry in namespaces)

    def save(self) -> None:
        """Put the record on disk. Raises Failure."""
        try:
            bundle_files.write_json(f"{self.directory}/{_STATE}", self.record)
        except OSError as error:
            raise Failure(f"open {self.directory}/{_STATE}: {strerror(error)}") from error

    def state(self, status: str, pid: int) -> dict[str, Any]:
        """The ``state`` object of the runtime specification, as hooks get it."""
        state: dict[str, Any] = {"ociVersion": VERSION, "id": self.id, "status": status}
        if pid:
            state["pid"] = pid
        state["bundle"] = self.record["bundle"]
        if annotations := self.config.get("annotations"):
            state["annotations"] = annotations
        return state

    def locked(self) -> Lock:
        """``with container.locked():`` alone with the record, for those that change or end a container.

        Raises NoContainer when another has ended it meanwhile.
        """
        return Lock(self.directory)

    def remove(self) -> None:
        """Forget it. Raises Failure."""
        remove_tree(self.directory)


class Lock:
    """A container's directory, locked."""

    __slots__ = ("_directory", "_fd")

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._fd = -1

    def __enter__(self) -> None:
        try:
            self._fd = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError:
            raise NoContainer from None
        fcntl.flock(self._fd, fcntl.LOCK_EX)
        if not os.fstat(self._fd).st_nlink:
            self.__exit__()
            raise NoContainer

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)


class Store:
    """All containers below one root."""

    def __init__(self, root: str) -> None:
        self.root = root

    def reserve(self, container_id: str) -> str:
        """Make the directory of a new container, which nobody else then can. Raises Failure."""
        check_id(container_id)
        directory = f"{self.root}/{container_id}"
        try:
            os.makedirs(self.root, mode=0o700, exist_ok=True)
            os.mkdir(directory, 0o711)
            os.chmod(directory, 0o711)  # noqa: S103  the gate and the notify socket are reached through it
        except FileExistsError:
            raise Failure("container with given ID already exists") from None
        except OSError as error:
            raise Failure(f"mkdir {error.filename}: {strerror(error)}") from error
        return directory

    def load(self, container_id: str) -> Container:
        """Raises NoContainer, Failure."""
        check_id(container_id)
        directory = f"{self.root}/{container_id}"
        try:
            return Container(directory, bundle_files.read_json(f"{directory}/{_STATE}"))
        except (FileNotFoundError, NotADirectoryError):
            raise NoContainer from None
        except OSError as error:
            raise Failure(f"open {directory}/{_STATE}: {strerror(error)}") from error
        except ValueError as error:
            raise Failure(f"{directory}/{_STATE}: {error}") from error

    def ids(self) -> list[str]:
        """What has a directory, by name; some may still be on their way in or out. Raises Failure."""
        try:
            with os.scandir(self.root) as entries:
                names = sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))
        except FileNotFoundError:
            return []
        except OSError as error:
            raise Failure(f"open {self.root}: {strerror(error)}") from error
        return [name for name in names if name != SECCOMP]


def check_id(container_id: str) -> None:
    """Letters, digits, ``_ + - . ,`` and no path. Raises Failure."""
    plain = all(char.isascii() and (char.isalnum() or char in "_+-.,") for char in container_id)
    if not container_id or not plain or container_id in (".", "..", SECCOMP) or len(container_id) > _LONGEST:
        raise Failure("invalid container ID format")


def remove_tree(directory: str) -> None:
    """A directory of ours with what is in it; gone already is no error. Raises Failure."""
    try:
        with os.scandir(directory) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    remove_tree(entry.path)
                else:
                    os.unlink(entry.path)
        os.rmdir(directory)
    except FileNotFoundError:
        return
    except OSError as error:
        raise Failure(f"unlinkat {directory}: {strerror(error)}") from error
