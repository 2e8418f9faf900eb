"""Cut a template into tokens."""

from __future__ import annotations

from wherry.cli.format.text import quote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

KEYWORDS = frozenset(
    {".", "block", "break", "continue", "define", "else", "end", "if", "range", "nil", "template", "with"}
)
_SPACE = " \t\r\n"
_ENDS = frozenset(".,|:)(") | frozenset(_SPACE)


class TemplateError(Exception):
    """A template that cannot be read or carried out."""


class Token:
    """A piece of the template. ``kind`` is text, left, right, space, field, identifier, keyword, string, number …"""

    __slots__ = ("kind", "line", "position", "text")

    def __init__(self, kind: str, position: int, text: str, line: int) -> None:
        self.kind = kind
        self.position = position
        self.text = text
        self.line = line

    def __str__(self) -> str:
        if self.kind == "eof":
            return "EOF"
        if self.kind == "error":
            return self.text
        if self.kind == "keyword":
            return f"<{self.text}>"
        if len(self.text) > 10:
            return f"{quote(self.text[:10])}..."
        return quote(self.text)


def tokens(source: str) -> Iterator[Token]:
    """Yield the tokens; an error is the last token, of kind "error"."""
    return _Lexer(source).run()


def _alphanumeric(character: str) -> bool:
    return character == "_" or character.isalnum()


class _Lexer:
    def __init__(self, source: str) -> None:
        self._source = source
        self._at = 0
        self._start = 0
        self._depth = 0

    def run(self) -> Iterator[Token]:
        trim = False
        while True:
            left = self._source.find("{{", self._at)
            yield from self._text(left, trim=trim)
            if left < 0:
                yield self._token("eof", len(self._source), "")
                return
            inside = left + (4 if self._trims_left(left) else 2)
            if self._source.startswith("/*", inside):
                problem, trim = self._comment(inside)
                if problem:
                    yield self._token("error", left, problem)
                    return
                continue
            yield self._token("left", left, "{{")
            self._at = inside
            self._depth = 0
            trim = False
            for token in self._action():
                yield token
                if token.kind == "error":
                    return
                trim = token.kind == "right" and token.text.startswith("-")

    def _trims_left(self, left: int) -> bool:
        """Whether the action that opens here takes the space before it away."""
        return self._source.startswith("{{-", left) and self._source[left + 3 : left + 4] in tuple(_SPACE)

    def _text(self, left: int, *, trim: bool) -> Iterator[Token]:
        """The text up to the next action, without what the actions around it trim."""
        text = self._source[self._at : left] if left >= 0 else self._source[self._at :]
        start = self._at
        if trim:
            start += len(text) - len(text.lstrip(_SPACE))
            text = text.lstrip(_SPACE)
        if left >= 0 and self._trims_left(left):
            text = text.rstrip(_SPACE)
        if text:
            yield self._token("text", start, text)

    def _comment(self, start: int) -> tuple[str, bool]:
        close = self._source.find("*/", start + 2)
        if close < 0:
            return "unclosed comment", False
        after = close + 2
        trimmed = self._trims(after)
        if trimmed:
            after += 2
        if not self._source.startswith("}}", after):
            return "comment ends before closing delimiter", False
        self._at = after + 2
        return "", trimmed

    def _trims(self, at: int) -> bool:
        """Whether a " -}}" (seen from its space) stands here."""
        source = self._source
        return source[at : at + 1] in tuple(_SPACE) and source.startswith("-}}", at + 1)

    def _token(self, kind: str, position: int, text: str) -> Token:
        return Token(kind, position, text, 1 + self._source.count("\n", 0, position))

    def _emit(self, kind: str) -> Token:
        return self._token(kind, self._start, self._source[self._start : self._at])

    def _error(self, text: str) -> Token:
        return self._token("error", self._start, text)

    def _action(self) -> Iterator[Token]:
        """Tokens up to and with the right delimiter."""
        while True:
            self._start = self._at
            trimmed = self._trims(self._at)
            if trimmed or self._source.startswith("}}", self._at):
                if self._depth:
                    yield self._error("unclosed left paren")
                    return
                self._at += 4 if trimmed else 2
                yield self._token("right", self._start, "-}}" if trimmed else "}}")
                return
            if self._at >= len(self._source):
                yield self._error("unclosed action")
                return
            token = self._one()
            yield token
            if token.kind == "error":
                return

    def _one(self) -> Token:
        source = self._source
        character = source[self._at]
        self._at += 1
        if character in _SPACE:
            return self._space()
        if character in "\"'`":
            return self._raw() if character == "`" else self._quoted(character)
        if character == "$":
            return self._word("variable")
        following = source[self._at : self._at + 1]
        if character == "." and not (following.isascii() and following.isdigit()):
            return self._word("field")
        if character in "+-." or (character.isascii() and character.isdigit()):
            return self._number()
        if _alphanumeric(character):
            return self._identifier()
        return self._mark(character)

    def _raw(self) -> Token:
        close = self._source.find("`", self._at)
        if close < 0:
            return self._error("unterminated raw quoted string")
        self._at = close + 1
        return self._emit("raw")

    def _mark(self, character: str) -> Token:
        if character in "=|,":
            return self._emit({"=": "assign", "|": "pipe", ",": "char"}[character])
        if character == ":":
            if not self._source.startswith("=", self._at):
                return self._error("expected :=")
            self._at += 1
            return self._emit("declare")
        if character == "(":
            self._depth += 1
            return self._emit("open")
        if character == ")":
            self._depth -= 1
            return self._emit("close") if self._depth >= 0 else self._error("unexpected right paren")
        if character.isascii() and character.isprintable():
            return self._emit("char")
        return self._error(f"unrecognized character in action: U+{ord(character):04X}")

    def _space(self) -> Token:
        source = self._source
        self._at -= 1
        while self._at < len(source) and source[self._at] in _SPACE and not self._trims(self._at):
            self._at += 1
        return self._emit("space")

    def _ended(self) -> bool:
        following = self._source[self._at : self._at + 1]
        return not following or following in _ENDS or self._source.startswith("}}", self._at)

    def _skip_word(self) -> None:
        while self._at < len(self._source) and _alphanumeric(self._source[self._at]):
            self._at += 1

    def _bad_character(self) -> Token:
        character = self._source[self._at]
        return self._error(f"bad character U+{ord(character):04X} {quote(character)[1:-1]!r}")

    def _word(self, kind: str) -> Token:
        if self._ended():
            return self._emit("variable" if kind == "variable" else "keyword")
        self._skip_word()
        return self._emit(kind) if self._ended() else self._bad_character()

    def _identifier(self) -> Token:
        self._skip_word()
        if not self._ended():
            return self._bad_character()
        word = self._source[self._start : self._at]
        if word in {"true", "false"}:
            return self._emit("bool")
        return self._emit("keyword" if word in KEYWORDS else "identifier")

    def _quoted(self, mark: str) -> Token:
        source = self._source
        name = "quoted string" if mark == '"' else "character constant"
        while self._at < len(source) and source[self._at] != "\n":
            character = source[self._at]
            self._at += 2 if character == "\\" and source[self._at + 1 : self._at + 2] not in {"", "\n"} else 1
            if character == mark:
                return self._emit("string" if mark == '"' else "character")
        return self._error(f"unterminated {name}")

    def _number(self) -> Token:
        source = self._source
        self._at -= 1
        if source[self._at] in "+-":
            self._at += 1
        digits = "0123456789_"
        if source[self._at : self._at + 2].lower() in {"0x", "0o", "0b"}:
            self._at += 2
            digits = "0123456789abcdefABCDEF_"
        for after in (".", "eE"):
            self._run(digits)
            if self._at < len(source) and source[self._at] in after and "a" not in digits:
                self._at += 1
                if after == "eE" and self._at < len(source) and source[self._at] in "+-":
                    self._at += 1
        self._run(digits)
        if self._at < len(source) and _alphanumeric(source[self._at]):
            self._at += 1
            return self._error(f"bad number syntax: {quote(source[self._start : self._at])}")
        return self._emit("number")

    def _run(self, digits: str) -> None:
        while self._at < len(self._source) and self._source[self._at] in digits:
            self._at += 1
