"""``wherry-oci``: the runtime as a command for other engines, with runc's commands, flags and words.

    wherry-oci (the console script) ──▶ app           the verbs that only look
      └─ execve, same process ──▶ entry.py ──▶ app    those that start something: see ``sealed``

Import budget: this runs before every container. Nothing that Python has not loaded by itself; then, in ``app`` and
below, what the runtime's own import budget allows.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_STARTING = ("create", "exec", "restore", "run")
"""They fork what becomes a container's process."""
_WITH_VALUE = ("criu", "log", "log-format", "root", "rootless")
"""The settings in front of the verb that take the next word."""


def main(words: Sequence[str] | None = None) -> int:
    """Run one command line, the process's own unless given; its exit code."""
    given = list(sys.argv[1:] if words is None else words)
    if verb_of(given) in _STARTING:
        from wherry.runtime.oci import sealed  # noqa: PLC0415

        if not sealed.is_sealed():
            sealed.become(given)
    from wherry.runtime.oci import app  # noqa: PLC0415  not before the second start

    return app.run(given)


def verb_of(words: Sequence[str]) -> str:
    """The first word that is no setting; empty when there is none."""
    rest = iter(words)
    for word in rest:
        if not word.startswith("-"):
            return word
        if word.lstrip("-") in _WITH_VALUE:
            next(rest, None)
    return ""


if __name__ == "__main__":
    sys.exit(main())
