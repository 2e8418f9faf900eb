"""``wherry load``, ``save`` and ``import``: images as files."""

from __future__ import annotations

import os
import stat

from wherry.cli.app import is_terminal, write
from wherry.cli.common import PLATFORM
from wherry.cli.errors import CliError
from wherry.cli.flags import Command, Option
from wherry.cli.output_path import write_archive
from wherry.cli.platforms import as_json
from wherry.cli.progress import display
from wherry.client import image
from wherry.client.http import File

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wherry.cli.app import App
    from wherry.cli.flags import Parsed

STDIN, STDOUT = 0, 1


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
    write_archive(options["output"], "failed to save image", lambda: image.save(app.client, options.args, query))
    return 0


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
        PLATFORM,
    ),
    minimum=1,
    aliases="image import, import",
)
