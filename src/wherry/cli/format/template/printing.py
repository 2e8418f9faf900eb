"""Values as Go's fmt package prints them."""

from __future__ import annotations

from wherry.cli.format.rows import Row
from wherry.cli.format.text import quote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


class NoValue:
    """What a map gives for a key that it does not have."""

    def __repr__(self) -> str:
        return "<no value>"

    def __bool__(self) -> bool:
        return False


NO_VALUE = NoValue()
_SPECIAL = {"nan": "NaN", "inf": "+Inf", "-inf": "-Inf"}


class NilList(list[object]):
    """A Go slice that is nil: an empty list, but null in JSON."""


class NilMap(dict[str, object]):
    """A Go map that is nil: an empty map, but null in JSON."""


class Struct(dict[str, object]):
    """A map whose keys are a Go struct's fields: to ask for another one is an error."""

    def __init__(self, go_type: str, values: dict[str, object]) -> None:
        super().__init__(values)
        self.go_type = go_type


def go_type(value: object) -> str:
    """The name of a value's Go type."""
    if isinstance(value, Row):
        return value.kind.go_type
    if isinstance(value, Struct):
        return value.go_type
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, str):
        return "string"
    if isinstance(value, int):
        return "int"
    if isinstance(value, float):
        return "float64"
    if isinstance(value, list):
        return "[]string" if value and all(isinstance(one, str) for one in value) else "[]interface {}"
    if isinstance(value, dict):
        return "map[string]interface {}"
    return "<nil>"


def plain(value: object) -> str:
    """As %v."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return "<nil>"
    if isinstance(value, float):
        return number(value)
    if isinstance(value, list):
        return f"[{' '.join(plain(one) for one in value)}]"
    if isinstance(value, Struct):
        return f"{{{' '.join(plain(one) for one in value.values())}}}"
    if isinstance(value, Row):
        return f"{{{' '.join(plain(one) for one in value.everything().values())}}}"
    if isinstance(value, dict):
        return f"map[{' '.join(f'{key}:{plain(value[key])}' for key in sorted(value))}]"
    return str(value)


def number(value: float) -> str:
    """A float as %v: shortest, with an exponent below 1e-4 and from 1e21."""
    text = repr(value)
    if text in _SPECIAL:
        return _SPECIAL[text]
    mantissa, _, exponent = text.partition("e")
    if exponent and -4 <= int(exponent) < 21:
        return f"{value:.0f}"
    if exponent:
        return f"{mantissa.removesuffix('.0')}e{exponent[0] if exponent[0] in '+-' else '+'}{exponent.lstrip('+-'):0>2}"
    return text.removesuffix(".0")


def sprint(values: Sequence[object]) -> str:
    """As fmt.Sprint: a space between two operands if neither is a string."""
    out = ""
    for at, value in enumerate(values):
        if at and not isinstance(value, str) and not isinstance(values[at - 1], str):
            out += " "
        out += plain(value)
    return out


def sprintf(template: str, values: Sequence[object]) -> str:
    """As fmt.Sprintf, with its complaints about wrong arguments in the text."""
    out: list[str] = []
    used = 0
    at = 0
    while (percent := template.find("%", at)) >= 0:
        out.append(template[at:percent])
        at = percent + 1
        flags, wide, precision, at = _directive(template, at)
        verb = template[at : at + 1]
        at += 1
        if not verb:
            out.append("%!(NOVERB)")
        elif verb == "%":
            out.append("%")
        elif used >= len(values):
            out.append(f"%!{verb}(MISSING)")
        else:
            out.append(_padded(_verb(verb, values[used], flags, precision), flags, wide))
            used += 1
    out.append(template[at:])
    if used < len(values):
        extra = ", ".join(f"{go_type(one)}={plain(one)}" for one in values[used:])
        out.append(f"%!(EXTRA {extra})")
    return "".join(out)


def _directive(template: str, at: int) -> tuple[str, int, int | None, int]:
    start = at
    while template[at : at + 1] and template[at] in "+-# 0":
        at += 1
    flags = template[start:at]
    wide, at = _count(template, at)
    precision: int | None = None
    if template.startswith(".", at):
        precision, at = _count(template, at + 1)
    return flags, wide, precision, at


def _count(template: str, at: int) -> tuple[int, int]:
    start = at
    while template[at : at + 1] and template[at] in "0123456789":
        at += 1
    return min(int(template[start:at] or 0), 1 << 16), at


def _padded(text: str, flags: str, wide: int) -> str:
    if "-" in flags:
        return text.ljust(wide)
    if "0" in flags and text.lstrip("+-")[:1].isdigit():
        return text.zfill(wide)
    return text.rjust(wide)


def _verb(verb: str, value: object, flags: str, precision: int | None) -> str:
    bad = f"%!{verb}({go_type(value)}={plain(value)})"
    if verb == "v":
        return go_syntax(value) if "#" in flags else plain(value)
    if verb == "T":
        return go_type(value)
    if isinstance(value, bool):
        return plain(value) if verb == "t" else bad
    if isinstance(value, str):
        return _string_verb(verb, value if precision is None else value[:precision], bad)
    if isinstance(value, int):
        return _integer_verb(verb, value, flags, bad)
    if isinstance(value, float):
        return _float_verb(verb, value, 6 if precision is None else precision, bad)
    if isinstance(value, list):
        return f"[{' '.join(_verb(verb, one, flags, precision) for one in value)}]"
    return plain(value) if verb == "s" and isinstance(value, dict | Row) else bad


def _string_verb(verb: str, value: str, bad: str) -> str:
    if verb == "s":
        return value
    if verb == "q":
        return quote(value)
    if verb in "xX":
        text = value.encode("utf-8", "surrogateescape").hex()
        return text.upper() if verb == "X" else text
    return bad


def _integer_verb(verb: str, value: int, flags: str, bad: str) -> str:
    sign = "+" if "+" in flags and value >= 0 else ""
    if verb in "dxXob":
        prefix = {"x": "0x", "X": "0X", "o": "0"}.get(verb, "") if "#" in flags else ""
        text = f"{abs(value):{verb}}"
        return f"{'-' if value < 0 else sign}{prefix}{text}"
    if verb in "cq" and 0 <= value <= 0x10FFFF:
        return chr(value) if verb == "c" else f"'{chr(value)}'"
    return bad


def _float_verb(verb: str, value: float, precision: int, bad: str) -> str:
    return f"{value:.{min(precision, 100)}{verb}}" if verb in "feEFgG" else bad


def go_syntax(value: object) -> str:
    """As %#v, for the kinds that templates hold."""
    if isinstance(value, str):
        return quote(value)
    if isinstance(value, list):
        return f"{go_type(value)}{{{', '.join(go_syntax(one) for one in value)}}}"
    if isinstance(value, dict):
        return f"{go_type(value)}{{{', '.join(f'{quote(key)}:{go_syntax(value[key])}' for key in sorted(value))}}}"
    return plain(value)
