"""``create``: everything but the program, which waits for ``start``."""

from __future__ import annotations

from wherry.runtime.oci.arguments import Call, Command, Flag
from wherry.runtime.oci.creation import Creation
from wherry.runtime.oci.errors import Failure
from wherry.runtime.oci.signals import Interrupted

ARGUMENTS = """<container-id>

Where "<container-id>" is your name for the instance of the container that you
are starting. The name you provide for the container instance must be unique on
your host."""
DESCRIPTION = """The {} command creates an instance of a container for a bundle. The bundle
is a directory with a specification file named "config.json" and a root
filesystem.

The specification file includes an args parameter. The args parameter is used
to specify command(s) that get run when the container is started. To change the
command(s) that get executed on start, edit the args parameter of the spec. See
"wherry-oci spec --help" for more explanation."""
BUNDLE = Flag("bundle, b", "path to the root of the bundle directory, defaults to the current directory")
CONSOLE_SOCKET = Flag(
    "console-socket",
    "path to an AF_UNIX socket which will receive a file descriptor referencing the master end of the console's "
    "pseudoterminal",
)
PID_FILE = Flag("pid-file", "specify the file to write the process id to")
FLAGS = (
    Flag(
        "no-pivot",
        "do not use pivot root to jail process inside rootfs.  This should be used whenever the rootfs is on top of a "
        "ramdisk",
        "bool",
    ),
    Flag(
        "no-new-keyring",
        "do not create a new session keyring for the container.  This will cause the container to inherit the calling "
        "processes session key",
        "bool",
    ),
    Flag(
        "preserve-fds",
        "Pass N additional file descriptors to the container (stdio + $LISTEN_FDS + N in total)",
        "int",
    ),
)


def _create(call: Call) -> int:
    creation = Creation(call, detach=True, gated=True, reaper=False)
    try:
        creation.prepare()
        creation.make()
        return creation.finish()
    except BaseException as error:
        creation.undo()
        raise failure("create", error) from error


def failure(verb: str, error: BaseException) -> BaseException:
    """With the words that runc puts in front."""
    if isinstance(error, Failure):
        return Failure(f"wherry-oci {verb} failed: {error}")
    if isinstance(error, Interrupted):
        return Failure(f"wherry-oci {verb} failed: {error}", 128 + error.number)
    return error


COMMAND = Command(
    "create",
    _create,
    usage="create a container",
    arguments=ARGUMENTS,
    description=DESCRIPTION.format("create"),
    flags=(BUNDLE, CONSOLE_SOCKET, PID_FILE, *FLAGS),
)
