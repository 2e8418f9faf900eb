"""What Go's encoding/json says of a text that is not JSON. Pure; imported when there is something to say."""

from __future__ import annotations

_SPACE = " \t\r\n"
_END = "unexpected end of JSON input"


class _Bad(Exception):
    pass


def explain(data: bytes) -> str:
    """Why ``data`` does not begin with a JSON value."""
    text = data.decode("utf-8", "replace")
    if not text.strip(_SPACE):
        return "EOF"
    try:
        _Reader(text).value(0)
    except _Bad as error:
        # At the end of a stream the decoder says so in its own words.
        return "unexpected EOF" if str(error) == _END else str(error)
    except RecursionError:
        return "exceeded max depth"
    return "invalid JSON"


class _Reader:
    def __init__(self, text: str) -> None:
        self._text = text

    def value(self, at: int) -> int:
        """The position behind the value that begins at or after ``at``."""
        at = self._skip(at)
        char = self._char(at)
        if char == "{":
            return self._object(at + 1)
        if char == "[":
            return self._array(at + 1)
        if char == '"':
            return self._string(at + 1)
        if char in "-0123456789":
            return self._number(at)
        for word in ("true", "false", "null"):
            if char == word[0]:
                return self._word(at, word)
        raise self._bad(at, "looking for beginning of value")

    def _object(self, at: int) -> int:
        at = self._skip(at)
        if self._char(at) == "}":
            return at + 1
        while True:
            at = self._skip(at)
            if self._char(at) != '"':
                raise self._bad(at, "looking for beginning of object key string")
            at = self._skip(self._string(at + 1))
            if self._char(at) != ":":
                raise self._bad(at, "after object key")
            at = self._skip(self.value(at + 1))
            if self._char(at) == "}":
                return at + 1
            if self._char(at) != ",":
                raise self._bad(at, "after object key:value pair")
            at += 1

    def _array(self, at: int) -> int:
        at = self._skip(at)
        if self._char(at) == "]":
            return at + 1
        while True:
            at = self._skip(self.value(at))
            if self._char(at) == "]":
                return at + 1
            if self._char(at) != ",":
                raise self._bad(at, "after array element")
            at += 1

    def _string(self, at: int) -> int:
        while True:
            char = self._char(at)
            if char == '"':
                return at + 1
            if char < " ":
                raise self._bad(at, "in string literal")
            if char == "\\":
                at += 1
                if self._char(at) == "u":
                    for digit in range(1, 5):
                        if self._char(at + digit) not in "0123456789abcdefABCDEF":
                            raise self._bad(at + digit, "in \\u hexadecimal character escape")
                    at += 4
                elif self._char(at) not in '"\\/bfnrt':
                    raise self._bad(at, "in string escape code")
            at += 1

    def _number(self, at: int) -> int:
        if self._char(at) == "-":
            at += 1
            if self._char(at) not in "0123456789":
                raise self._bad(at, "in numeric literal")
        at = at + 1 if self._char(at) == "0" else self._digits(at)
        if self._text[at : at + 1] == ".":
            at += 1
            if self._char(at) not in "0123456789":
                raise self._bad(at, "after decimal point in numeric literal")
            at = self._digits(at)
        if self._text[at : at + 1] in ("e", "E"):
            at += 1
            if self._text[at : at + 1] in ("+", "-"):
                at += 1
            if self._char(at) not in "0123456789":
                raise self._bad(at, "in exponent of numeric literal")
            at = self._digits(at)
        return at

    def _digits(self, at: int) -> int:
        while self._text[at : at + 1].isdigit():
            at += 1
        return at

    def _word(self, at: int, word: str) -> int:
        for number, letter in enumerate(word):
            if self._char(at + number) != letter:
                raise self._bad(at + number, f"in literal {word} (expecting {_quote(letter)})")
        return at + len(word)

    def _skip(self, at: int) -> int:
        while self._text[at : at + 1] in _SPACE and at < len(self._text):
            at += 1
        return at

    def _char(self, at: int) -> str:
        if at >= len(self._text):
            raise _Bad(_END)
        return self._text[at]

    def _bad(self, at: int, context: str) -> _Bad:
        return _Bad(f"invalid character {_quote(self._text[at])} {context}")


def _quote(char: str) -> str:
    special = {"'": "'\\''", '"': "'\"'", "\n": "'\\n'", "\t": "'\\t'", "\r": "'\\r'", "\\": "'\\\\'"}
    return special.get(char, f"'{char}'" if char.isprintable() else f"'\\x{ord(char):02x}'")
