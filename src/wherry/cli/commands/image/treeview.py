"""``wherry images --tree``: every image with the platforms it has, those that are not here shown faint."""

from __future__ import annotations

from wherry.cli import platforms
from wherry.cli.app import is_terminal
from wherry.cli.format.text import ellipsis, short_id, width
from wherry.cli.format.units import human_size
from wherry.cli.notes import MARK, PLAIN_MARK
from wherry.cli.terminal import size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from wherry.cli.app import App

_WARNING = "WARNING: This is an experimental feature. The output may change and shouldn't be depended on."
_HEADER = "\x1b[39m\x1b[1m"
_NAME = "\x1b[34m\x1b[1m"
_TEXT = "\x1b[39m"
_FAINT = "\x1b[39m\x1b[2m"
_CHIP = "\x1b[38;5;0m\x1b[48;5;14m U \x1b[0m"
_RESET = "\x1b[0m"
_UNTAGGED = "<untagged>"
_SPACING = 3
_NARROWEST = 12
_BRANCH = 7
"""Bytes of what stands before a platform: docker counts them as if they were columns."""
_DEFAULT_WIDTH = 80


class _Row:
    """One line's details: of an image, or of one of its platforms."""

    __slots__ = ("content", "disk", "identity", "used")

    def __init__(self, identity: str, disk: int, content: int, *, used: bool) -> None:
        self.identity = short_id(identity)
        self.disk = human_size(disk, 3)
        self.content = human_size(content, 3)
        self.used = used


class _Child(_Row):
    __slots__ = ("available", "platform")

    def __init__(self, manifest: dict[str, Any]) -> None:
        data = manifest.get("ImageData") or {}
        size = manifest.get("Size") or {}
        used = bool(data.get("Containers"))
        super().__init__(manifest.get("ID", ""), size.get("Total", 0), size.get("Content", 0), used=used)
        self.platform = platforms.shown(data.get("Platform") or {})
        self.available = bool(manifest.get("Available"))


class _Image:
    __slots__ = ("children", "names", "row")

    def __init__(self, value: dict[str, Any]) -> None:
        manifests = [one for one in value.get("Manifests") or [] if one.get("Kind") == "image"]
        self.children = [_Child(one) for one in manifests]
        self.names = sorted(value.get("RepoTags") or [], key=lambda name: -len(name))
        used = value.get("Containers", -1) > 0 or any(child.used for child in self.children)
        content = sum((one.get("Size") or {}).get("Content", 0) for one in manifests)
        self.row = _Row(value.get("Id", ""), value.get("Size", 0), content, used=used)


class _Canvas:
    """Draws on something ``columns`` wide, with colours if it is a terminal."""

    def __init__(self, images: Sequence[_Image], columns: int, *, colours: bool) -> None:
        self._colours = colours
        self.columns = columns
        widths = [("ID", 12), ("DISK USAGE", 10), ("CONTENT SIZE", 12), ("EXTRA", 5)]
        self.shown: list[tuple[str, int]] = []
        left = columns
        for title, wide in widths:
            if left - wide - _SPACING < _NARROWEST:
                break
            left -= wide + _SPACING
            self.shown.append((title, wide))
        self.first = min(left, _widest(images))

    def colour(self, colour: str, text: str) -> str:
        return f"{colour}{text}{_RESET}" if self._colours else text

    def header(self) -> str:
        cells = [("IMAGE", self.first), *self.shown]
        return (" " * _SPACING).join(f"{_HEADER}{title}{_RESET}{' ' * (wide - len(title))}" for title, wide in cells)

    def name(self, colour: str, text: str) -> str:
        shown = ellipsis(text, self.first)
        return self.colour(colour, shown) + " " * (self.first - width(shown))

    def details(self, colour: str, row: _Row) -> str:
        texts = (row.identity, row.disk, row.content)
        line = ""
        for (_, wide), text in zip(self.shown, texts, strict=False):
            fill = " " * (wide - len(text))
            shown = self.colour(colour, text)
            line += " " * _SPACING + (shown + fill if text is row.identity else fill + shown)
        if len(self.shown) > len(texts):
            chip, taken = self.chip() if row.used else ("", 0)
            line += " " * _SPACING + chip + " " * (self.shown[-1][1] - taken)
        return line

    def chip(self) -> tuple[str, int]:
        """The mark of what containers use, and its columns."""
        return (_CHIP, 3) if self._colours else ("U", 1)

    def legend(self) -> str:
        mark, taken = (MARK, 9) if self._colours else (PLAIN_MARK, len(PLAIN_MARK))
        chip, wide = self.chip()
        return f"{' ' * (self.columns - taken - wide - 9)}{mark} {chip} In Use "


def print_tree(app: App, found: Sequence[dict[str, Any]], *, every: bool) -> None:
    """Draw the images; those without a name only if ``every`` one is wanted."""
    terminal = is_terminal(1)
    images = [_Image(one) for one in sorted(found, key=lambda one: -one.get("Created", 0))]
    images = [image for image in images if image.names or every]
    canvas = _Canvas(images, size(1)[1] if terminal else _DEFAULT_WIDTH, colours=terminal)
    lines = [canvas.colour("\x1b[93m", _WARNING) if terminal else _WARNING, canvas.legend(), "", canvas.header()]
    spaced = any(image.children for image in images)
    for image in images:
        lines += _lines(canvas, image, whole=canvas.columns if terminal else 0)
        if spaced:
            lines.append("")
    app.out("".join(f"{line}\n" for line in lines))


def _lines(canvas: _Canvas, image: _Image, *, whole: int) -> list[str]:
    *above, last = image.names or [_UNTAGGED]
    lines = [canvas.colour(_NAME, ellipsis(name, whole) if whole else name) for name in above]
    head = canvas.name(_NAME if image.names else _FAINT, last)
    lines.append(head + canvas.details(_TEXT, image.row))
    for number, child in enumerate(image.children, 1):
        branch = "└─" if number == len(image.children) else "├─"
        colour = _TEXT if child.available else _FAINT
        lines.append(canvas.name(colour, f"{branch} {child.platform}") + canvas.details(colour, child))
    return lines


def _widest(images: Sequence[_Image]) -> int:
    """What the first column needs."""
    texts = [len("IMAGE")]
    for image in images:
        texts += [width(name) for name in image.names or [_UNTAGGED]]
        texts += [len(child.platform) + _BRANCH for child in image.children]
    return max(texts)
