"""``wherry load``, ``save`` and ``import``: images as files."""

from __future__ import annotations

import os
import stat

from wherry.cli.app import is_terminal, write
from wherry.cli.errors import CliError
from wherry.cli.flags import Command, Option
from wherry.cli.platforms import as_json
from wherry.cli.progress import display
from wherry.client import image
from wherry.client.http import File

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from wherry.cli.app import App
    from wherry.cli.flags import Parsed

STDIN, STDOUT = 0, 1
_KINDS = {
    stat.S_IFDIR: "a directory",
    stat.S_IFLNK: "a symbolic link directly",
    stat.S_IFCHR: "a character device file",
    stat.S_IFBLK: "a block device file",
    stat.S_IFIFO: "a named pipe (FIFO)",
    stat.S_IFSOCK: "a socket",
}


def _open(path: str) -> File:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise CliError(f"open {path}: {(error.strerror or '').lower()}") from error
    return _file(fd)


def _file(fd: int) -> File:
    """A regular file goes out whole by sendfile, anything else as it comes."""
    found = os.fstat(fd)
    return File(fd, found.st_size - os.lseek(fd, 0, os.SEEK_CUR) if stat.S_ISREG(found.st_mode) else None)


def _load(app: App, options: Parsed) -> int:
    path = options["input"]
    if not path and is_terminal(STDIN):
        raise CliError("requested load from stdin, but stdin is empty")
    query = {}
    if options["platform"]:
        query["platform"] = as_json(options["platform"])
    if options["quiet"] or not is_terminal(STDOUT):
        query["quiet"] = "1"
    response = image.load(app.client, _open(path) if path else _file(STDIN), query)
    if response.media_type == "application/json":
        display(response.lines(), STDOUT)
    else:
        for piece in response:
            write(STDOUT, piece)
    return 0


def _save(app: App, options: Parsed) -> int:
    query = {"platform": as_json(options["platform"])} if options["platform"] else {}
    path = options["output"]
    if not path:
        if is_terminal(STDOUT):
            raise CliError("cowardly refusing to save to a terminal. Use the -o flag or redirect")
        for piece in image.save(app.client, options.args, query):
            write(STDOUT, piece)
        return 0
    check_target(path, "save image")
    write_whole(path, iter(image.save(app.client, options.args, query)), "save image")
    return 0


def check_target(path: str, doing: str) -> None:
    """Raise ``CliError`` unless the path is free or a regular file's: the archive takes the place of what is there."""
    directory = os.path.dirname(path.rstrip("/"))
    try:
        os.stat(directory or ".")
    except OSError as error:
        why = f"stat {directory}: {(error.strerror or '').lower()}"
        raise CliError(f"failed to {doing}: invalid output path: {why}") from error
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return
    except OSError as error:
        raise CliError(f"failed to {doing}: lstat {path}: {(error.strerror or '').lower()}") from error
    if not stat.S_ISREG(mode):
        raise CliError(f"failed to {doing}: cannot write to {_KINDS.get(stat.S_IFMT(mode), 'an irregular file')}")


def write_whole(path: str, pieces: Iterator[bytes], doing: str = "export container") -> None:
    """The file appears under its name only when it is complete. Nothing but a file is ever replaced by it."""
    check_target(path, doing)
    draft = f"{path}.tmp-{os.getpid()}"
    fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        for piece in pieces:
            write(fd, piece)
        os.fsync(fd)
        os.rename(draft, path)
    except BaseException:
        os.unlink(draft)
        raise
    finally:
        os.close(fd)


def _import(app: App, options: Parsed) -> int:
    source, name = options.args[0], (options.args[1:] or [""])[0]
    remote = source.startswith(("http://", "https://"))
    body = None if remote else _file(STDIN) if source == "-" else _open(source)
    query: dict[str, str | list[str]] = {}
    if options["change"]:
        query["changes"] = options["change"]
    query["fromSrc"] = source if remote else "-"
    given = {"message": options["message"], "platform": options["platform"].lower(), "repo": name}
    query |= {key: value for key, value in given.items() if value}
    display(image.create(app.client, query, body).lines(), STDOUT)
    return 0


_PLATFORM = 'given platform variant. Formatted as "os[/arch[/variant]]" (e.g., "linux/amd64")'

LOAD = Command(
    _load,
    usage="[OPTIONS]",
    short="Load an image from a tar archive or STDIN",
    options=(
        Option("input", "i", "string", "Read from tar archive file, instead of STDIN"),
        Option("platform", "", "string", f"Load only the {_PLATFORM}", since="1.48"),
        Option("quiet", "q", "bool", "Suppress the load output"),
    ),
    maximum=0,
    aliases="image load, load",
)
SAVE = Command(
    _save,
    usage="[OPTIONS] IMAGE [IMAGE...]",
    short="Save one or more images to a tar archive (streamed to STDOUT by default)",
    options=(
        Option("output", "o", "string", "Write to a file, instead of STDOUT"),
        Option("platform", "", "string", f"Save only the {_PLATFORM}", since="1.48"),
    ),
    minimum=1,
    aliases="image save, save",
)
IMPORT = Command(
    _import,
    usage="[OPTIONS] file|URL|- [REPOSITORY[:TAG]]",
    short="Import the contents from a tarball to create a filesystem image",
    options=(
        Option("change", "c", "list", "Apply Dockerfile instruction to the created image"),
        Option("message", "m", "string", "Set commit message for imported image"),
        Option(
            "platform",
            "",
            "string",
            "Set platform if server is multi-platform capable",
            default=os.environ.get("DOCKER_DEFAULT_PLATFORM", ""),
            since="1.32",
        ),
    ),
    minimum=1,
    aliases="image import, import",
)
