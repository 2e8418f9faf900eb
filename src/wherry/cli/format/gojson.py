"""JSON as Go writes it: what ``--format json`` and ``inspect`` print."""

from __future__ import annotations

from wherry.client.jsonio import dumps

_SEPARATORS = str.maketrans({"\u2028": "\\u2028", "\u2029": "\\u2029"})
_HTML = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"})


def encode(value: object, *, html: bool = False) -> str:
    """One line. ``html`` escapes <, > and &, as json.Marshal does."""
    text = dumps(value)
    if not text.isascii():
        text = text.translate(_SEPARATORS)
    return text.translate(_HTML) if html else text


def compact(document: str) -> str:
    """Take out the space between tokens and change nothing else."""
    return _redraw(document, "")


def indent(document: str, step: str = "    ") -> str:
    """Lay out as json.Indent does: tokens as they are written, empty objects and lists closed at once."""
    return _redraw(document, step)


def _redraw(document: str, step: str) -> str:
    out: list[str] = []
    depth = 0
    fresh = False  # just after an opening bracket
    at, end = 0, len(document)
    while at < end:
        character = document[at]
        if character in " \t\r\n":
            at += 1
            continue
        if character in "}]":
            depth -= 1
            if not fresh:
                out.append(_newline(step, depth))
            fresh = False
            out.append(character)
            at += 1
            continue
        if fresh:
            out.append(_newline(step, depth))
            fresh = False
        if character == '"':
            close = _string_end(document, at)
            out.append(document[at:close])
            at = close
            continue
        at += 1
        out.append(character)
        if character in "{[":
            depth += 1
            fresh = True
        elif character == ",":
            out.append(_newline(step, depth))
        elif character == ":" and step:
            out.append(" ")
    return "".join(out)


def _newline(step: str, depth: int) -> str:
    return "\n" + step * depth if step else ""


def _string_end(document: str, start: int) -> int:
    """Where the string that opens at ``start`` has closed."""
    at = start + 1
    while True:
        close = document.find('"', at)
        if close < 0:
            return len(document)
        slashes = close - 1
        while document[slashes] == "\\":
            slashes -= 1
        if (close - slashes) % 2:
            return close + 1
        at = close + 1
