"""``spec``: a config.json to start from."""

from __future__ import annotations

import os

from wherry.runtime.oci import gojson
from wherry.runtime.oci.arguments import Call, Command, Flag
from wherry.runtime.oci.defaults import default_spec, rootless_spec
from wherry.runtime.oci.errors import Failure, strerror
from wherry.runtime.oci.spec_file import NAME, enter_bundle


def _spec(call: Call) -> int:
    spec = rootless_spec(os.geteuid(), os.getegid()) if call.options.flag("rootless") else default_spec()
    enter_bundle(call.options.text("bundle"))
    try:
        fd = os.open(NAME, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    except FileExistsError:
        raise Failure(f"File {NAME} exists. Remove it first") from None
    except OSError as error:
        raise Failure(f"open {NAME}: {strerror(error)}") from error
    with os.fdopen(fd, "wb") as file:
        file.write(gojson.encode(spec, "\t").encode())
    return 0


COMMAND = Command(
    "spec",
    _spec,
    usage="create a new specification file",
    arguments="[arguments...]",
    description="""The spec command creates the new specification file named "config.json" for
the bundle.

The spec generated is just a starter file. Editing of the spec is required to
achieve desired results. For example, the newly generated spec includes an args
parameter that is initially set to call the "sh" command when the container is
started. Calling "sh" may work for an ubuntu container or busybox, but will not
work for containers that do not include the "sh" program.

Starting a container needs root privilege. An ordinary user starts a rootless container,
for which the specification has to be adjusted: pass --rootless to this command.""",
    flags=(
        Flag("bundle, b", "path to the root of the bundle directory"),
        Flag("rootless", "generate a configuration for a rootless container", "bool"),
    ),
    least=0,
    most=0,
)
