"""The small language of the image filters: Go's path patterns."""

from __future__ import annotations

import re

from wherry.lib.errors import InvalidArgument
from wherry.oci.reference import Reference


def reference_matches(pattern: str, reference: Reference) -> bool:
    """The ``reference`` filter: the pattern holds for the whole familiar name, or without its tag."""
    expression = _pattern(pattern)
    return any(expression.fullmatch(text) for text in (reference.familiar, reference.familiar_name))


def _pattern(pattern: str) -> re.Pattern[str]:
    """Go's ``path.Match`` as a regular expression: ``*`` and ``?`` stop at a slash."""
    out, at = [], 0
    while at < len(pattern):
        char = pattern[at]
        at += 1
        if char == "*":
            out.append("[^/]*")
        elif char == "?":
            out.append("[^/]")
        elif char == "[":
            end = pattern.find("]", at + 1)
            if end < 0:
                raise InvalidArgument("syntax error in pattern")
            body = pattern[at:end]
            negated = body.startswith("^")
            members = re.sub(r"[^\w-]", lambda found: re.escape(found[0]), body[negated:])
            out.append(f"[{'^' if negated else ''}{members}]")
            at = end + 1
        elif char == "\\" and at < len(pattern):
            out.append(re.escape(pattern[at]))
            at += 1
        else:
            out.append(re.escape(char))
    try:
        return re.compile("".join(out), re.DOTALL)
    except re.error:
        raise InvalidArgument("syntax error in pattern") from None
