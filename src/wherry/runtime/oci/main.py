"""``wherry-oci``: the runtime as a command for other engines.

Built: ``--version``, ``spec``, ``features``. The container commands of the OCI runtime specification are refused by
name.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence

from wherry import __version__
from wherry.runtime.oci.defaults import VERSION, default_spec
from wherry.runtime.oci.features import features

_LATER = (
    *("checkpoint", "create", "delete", "events", "exec", "kill", "list", "pause", "ps", "restore", "resume"),
    *("run", "start", "state", "update"),
)
_USAGE = """\
Usage: wherry-oci [--version] COMMAND

  spec       print a config.json to start from
  features   print what this runtime can do, as JSON
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; its exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    command = words[0] if words else ""
    if command in ("--version", "-v"):
        print(f"wherry-oci version {__version__}\nspec: {VERSION}")  # noqa: T201  a command's output
    elif command in ("", "-h", "--help", "help"):
        print(_USAGE, end="")  # noqa: T201
    elif command == "spec":
        print(json.dumps(default_spec(), indent="\t"))  # noqa: T201
    elif command == "features":
        print(json.dumps(features(), indent=2))  # noqa: T201
    else:
        known = command in _LATER
        reason = "is not built yet" if known else "is not a command; see wherry-oci --help"
        print(f"wherry-oci: {command} {reason}", file=sys.stderr)  # noqa: T201
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
