"""Running criu(8), which stores the state of processes in files and makes processes of them again."""

from __future__ import annotations

import os
import shutil
import subprocess

from wherry.runtime.oci.arguments import Call, Flag
from wherry.runtime.oci.errors import Failure, strerror

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from wherry.runtime.oci.store import Container

FLAGS = (
    Flag("tcp-established", "allow open tcp connections", "bool"),
    Flag("ext-unix-sk", "allow external unix sockets", "bool"),
    Flag("shell-job", "allow shell jobs", "bool"),
    Flag("file-locks", "handle file locks, for safety", "bool"),
    Flag("manage-cgroups-mode", "cgroups mode: 'soft' (default), 'full' and 'strict'"),
    Flag("empty-ns", "create a namespace, but don't restore its properties", "strings"),
    Flag("auto-dedup", "enable auto deduplication of memory images", "bool"),
    Flag("lazy-pages", "use userfaultfd to lazily restore memory pages", "bool"),
)
_SAME_NAME = ("tcp-established", "ext-unix-sk", "shell-job", "file-locks", "auto-dedup", "lazy-pages")
_MODES = ("", "soft", "full", "strict")


def images(call: Call, *, make: bool) -> str:
    """The directory of the images, ``./checkpoint`` unless it is given. Raises Failure."""
    path = os.path.abspath(call.options.text("image-path") or "checkpoint")
    try:
        if make:
            os.makedirs(path, mode=0o700, exist_ok=True)
        os.close(os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
    except OSError as error:
        raise Failure(f"open {path}: {strerror(error)}") from error
    return path


def common_options(call: Call) -> list[str]:
    """What dumping and restoring understand alike. Raises Failure."""
    mode = call.options.text("manage-cgroups-mode")
    if mode not in _MODES:
        raise Failure("Invalid manage cgroups mode")
    for name in call.options.texts("empty-ns"):
        if name != "network":
            raise Failure(f'namespace "{name}" is not supported')
    chosen = [f"--{name}" for name in _SAME_NAME if call.options.flag(name)]
    # The network's devices are the caller's business, as they are at a start.
    return [*chosen, f"--manage-cgroups={mode or 'soft'}", "--empty-ns", "net"]


def external_mounts(container: Container, *, restoring: bool) -> list[str]:
    """The mounts that come from outside: named by where they are, found again at their source."""
    options: list[str] = []
    for mount in container.config.get("mounts") or ():
        given = mount.get("options") or ()
        if mount.get("type") == "bind" or "bind" in given or "rbind" in given:
            target = mount["destination"]
            options += ["--external", f"mnt[{target}]:{mount['source'] if restoring else target}"]
    return options


def run(call: Call, verb: str, directory: str, options: Sequence[str], *, pass_fds: Iterable[int] = ()) -> None:
    """``criu verb`` with its images in ``directory``. Raises Failure with what is missing, or criu's last complaint."""
    program = call.settings.text("criu")
    if shutil.which(program) is None:
        where = f"stat {program}: no such file or directory" if "/" in program else "executable file not found in $PATH"
        raise Failure(f'criu is not installed: exec: "{program}": {where}')
    work = os.path.abspath(call.options.text("work-path") or directory)
    log = f"{verb}.log"
    command = [program, verb, "-v4", "--images-dir", directory, "--work-dir", work, "--log-file", log, *options]
    try:
        os.makedirs(work, mode=0o700, exist_ok=True)
        done = subprocess.run(command, capture_output=True, pass_fds=tuple(pass_fds), check=False)
    except OSError as error:
        raise Failure(f"criu: {strerror(error)}") from error
    if done.returncode != 0:
        raise Failure(f"criu failed: {_complaint(f'{work}/{log}', done.stderr)}; log file: {work}/{log}")


def _complaint(log: str, said: bytes) -> str:
    """The last error in its log, or on its stderr."""
    try:
        with open(log, "rb") as file:
            said = file.read() + said
    except OSError:
        pass  # it did not get that far
    errors = [line for line in said.decode("utf-8", "replace").splitlines() if "Error (" in line]
    return errors[-1].partition("Error (")[2].partition("): ")[2] if errors else "no reason given"
