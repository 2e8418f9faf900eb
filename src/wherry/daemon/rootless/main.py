"""``wherryd-rootless``: wherryd for an ordinary user; its flags are wherryd's.

It makes the user's namespaces, or finds those that an earlier daemon has left, enters them, and becomes wherryd.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from wherry.daemon.rootless.holder import enter, find_holder, make_holder
from wherry.daemon.rootless.home import find_home
from wherry.daemon.rootless.uplink import Uplink
from wherry.lib.errors import WherryError


def main(arguments: Sequence[str] | None = None) -> int:
    """The command. Returns only when it cannot start: 1, with one line on stderr."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        home = find_home(os.environ)
        home.runtime.mkdir(mode=0o700, parents=True, exist_ok=True)
        home.data.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        holder = find_holder(home.runtime)
        if holder is None:
            holder = make_holder(home, Uplink(home.runtime / "slirp4netns.sock"))
        enter(holder)
        os.close(holder)
        words = home.defaults(given)
        os.execv(sys.executable, [sys.executable, "-m", "wherry.daemon.main", *words])  # noqa: S606  itself
    except (WherryError, OSError) as error:
        sys.stderr.write(f"wherryd-rootless: {error}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
