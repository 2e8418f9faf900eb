"""Build a template's nodes from its tokens, complaining in the words of Go's text/template/parse."""

from __future__ import annotations

from wherry.cli.format.template import nodes
from wherry.cli.format.template.lexer import TemplateError, Token, tokens
from wherry.cli.format.text import quote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Container

_OPERANDS = frozenset({"bool", "character", "field", "identifier", "number", "raw", "string", "variable", "open"})
_LITERALS = frozenset({"bool", "character", "number", "raw", "string"})
_ESCAPES = {"a": 7, "b": 8, "f": 12, "n": 10, "r": 13, "t": 9, "v": 11, "\\": 92, "'": 39, '"': 34}
_CODES = {"x": 2, "u": 4, "U": 8}


class Parser:
    """One run over one source. ``templates`` holds the bodies of {{define}} by name, and the whole under ""."""

    def __init__(self, source: str, functions: Container[str], name: str = "") -> None:
        self._functions = functions
        self._name = name
        self._stream = tokens(source)
        self._ahead: list[Token] = []
        self._last = Token("eof", 0, "", 1)
        self._variables = ["$"]
        self._loops = 0
        self.templates: dict[str, list[nodes.Node]] = {}
        self._controls: dict[str, Callable[[Token], nodes.Node]] = {
            "block": self._block,
            "break": self._jump,
            "continue": self._jump,
            "else": self._else,
            "end": self._end,
            "if": self._branch,
            "range": self._branch,
            "template": self._call,
            "with": self._branch,
        }

    def parse(self) -> dict[str, list[nodes.Node]]:
        """Parse all of it. Raises ``TemplateError``."""
        body: list[nodes.Node] = []
        while self._peek().kind != "eof":
            node = self._text_or_action(define=True)
            if isinstance(node, nodes.Jump) and node.keyword in {"end", "else"}:
                self._fail(f"unexpected {node}")
            if node is not None:
                body.append(node)
        self.templates[""] = body
        return self.templates

    def _fail(self, text: str) -> TemplateError:
        raise TemplateError(f"template: {self._name}:{self._last.line}: {text}")

    def _unexpected(self, token: Token, context: str) -> None:
        if token.kind == "error":
            self._fail(token.text)
        self._fail(f"unexpected {token} in {context}")

    def _next(self) -> Token:
        token = self._ahead.pop() if self._ahead else next(self._stream)
        self._last = token
        return token

    def _back(self, *read: Token) -> None:
        self._ahead.extend(reversed(read))

    def _peek(self) -> Token:
        token = self._next()
        self._back(token)
        return token

    def _solid(self) -> Token:
        """The next token that is not space."""
        while (token := self._next()).kind == "space":
            pass
        return token

    def _peek_solid(self) -> Token:
        token = self._solid()
        self._back(token)
        return token

    def _expect(self, kind: str, context: str) -> Token:
        token = self._solid()
        if token.kind != kind:
            self._unexpected(token, context)
        return token

    def _body(self) -> tuple[list[nodes.Node], nodes.Jump]:
        """Nodes up to {{end}} or {{else}}, which is returned too."""
        found: list[nodes.Node] = []
        while self._peek_solid().kind != "eof":
            node = self._text_or_action()
            if isinstance(node, nodes.Jump) and node.keyword in {"end", "else", "else if", "else with"}:
                return found, node
            if node is not None:
                found.append(node)
        raise self._fail("unexpected EOF")

    def _text_or_action(self, *, define: bool = False) -> nodes.Node | None:
        token = self._solid()
        if token.kind == "text":
            return nodes.Text(token.position, token.text)
        if token.kind != "left":
            self._unexpected(token, "input")
        return self._action(define=define)

    def _action(self, *, define: bool) -> nodes.Node | None:
        token = self._solid()
        if token.kind == "keyword":
            if token.text == "define" and define:
                self._define()
                return None
            control = self._controls.get(token.text)
            if control is not None:
                return control(token)
        self._back(token)
        return nodes.Action(token.position, self._pipeline("command", "right"))

    def _end(self, _token: Token) -> nodes.Node:
        return nodes.Jump(self._expect("right", "end").position, "end")

    def _define(self) -> None:
        name = self._template_name(self._solid(), "define clause")
        self._expect("right", "define clause")
        self._nested(name, "define clause")

    def _nested(self, name: str, context: str) -> None:
        outer, self._variables = self._variables, ["$"]
        body, end = self._body()
        if end.keyword != "end":
            self._fail(f"unexpected {end} in {context}")
        self._variables = outer
        self.templates[name] = body

    def _template_name(self, token: Token, context: str) -> str:
        if token.kind not in {"string", "raw"}:
            self._unexpected(token, context)
        return self._unquote(token)

    def _block(self, _token: Token) -> nodes.Node:
        token = self._solid()
        name = self._template_name(token, "block clause")
        pipeline = self._pipeline("block clause", "right")
        self._nested(name, "block clause")
        return nodes.Call(token.position, name, pipeline)

    def _call(self, _token: Token) -> nodes.Node:
        token = self._solid()
        name = self._template_name(token, "template clause")
        pipeline = None
        after = self._solid()
        if after.kind != "right":
            self._back(after)
            pipeline = self._pipeline("template clause", "right")
        return nodes.Call(token.position, name, pipeline)

    def _jump(self, token: Token) -> nodes.Node:
        after = self._solid()
        if after.kind != "right":
            self._unexpected(after, f"{{{{{token.text}}}}}")
        if not self._loops:
            self._fail(f"{{{{{token.text}}}}} outside {{{{range}}}}")
        return nodes.Jump(token.position, token.text)

    def _else(self, token: Token) -> nodes.Node:
        after = self._peek_solid()
        if after.kind == "keyword" and after.text in {"if", "with"}:
            return nodes.Jump(token.position, f"else {after.text}")
        return nodes.Jump(self._expect("right", "else").position, "else")

    def _branch(self, token: Token) -> nodes.Branch:
        keyword = token.text
        known = len(self._variables)
        pipeline = self._pipeline(keyword, "right")
        self._loops += keyword == "range"
        body, end = self._body()
        self._loops -= keyword == "range"
        otherwise: list[nodes.Node] | None = None
        if end.keyword in {"else if", "else with"} and end.keyword.endswith(keyword):
            otherwise = [self._branch(self._solid())]
        elif end.keyword != "end":
            if end.keyword != "else":
                self._unexpected(self._solid(), "else")
            otherwise, end = self._body()
            if end.keyword != "end":
                self._fail(f"expected end; found {end}")
        del self._variables[known:]
        return nodes.Branch(pipeline.position, keyword, pipeline, body, otherwise)

    def _pipeline(self, context: str, end: str) -> nodes.Pipeline:
        pipeline = nodes.Pipeline(self._peek_solid().position)
        while self._declaration(pipeline, context):
            pass
        while True:
            token = self._solid()
            if token.kind == end:
                self._check(pipeline, context)
                return pipeline
            if token.kind in _OPERANDS or (token.kind == "keyword" and token.text in {".", "nil"}):
                self._back(token)
                pipeline.commands.append(self._command())
            else:
                self._unexpected(token, context)

    def _declaration(self, pipeline: nodes.Pipeline, context: str) -> bool:
        """Read "$x :=", "$x =" or "$i, " if it is there; True if another variable may follow."""
        variable = self._solid()
        if variable.kind != "variable":
            self._back(variable)
            return False
        between = self._next()
        after = self._solid() if between.kind == "space" else between
        if after.kind in {"assign", "declare"}:
            pipeline.assigns = after.kind == "assign"
            pipeline.variables.append(variable.text)
            self._variables.append(variable.text)
            return False
        if after.kind == "char" and after.text == ",":
            pipeline.variables.append(variable.text)
            self._variables.append(variable.text)
            if context == "range" and len(pipeline.variables) < 2:
                if self._peek_solid().kind in {"variable", "right", "close"}:
                    return True
                self._fail("range can only initialize variables")
            self._fail(f"too many declarations in {context}")
        self._back(*((variable, between, after) if between is not after else (variable, after)))
        return False

    def _check(self, pipeline: nodes.Pipeline, context: str) -> None:
        if not pipeline.commands:
            self._fail(f"missing value for {context}")
        for stage, command in enumerate(pipeline.commands[1:], 2):
            if isinstance(command.args[0], nodes.Literal | nodes.Dot | nodes.Nil):
                self._fail(f"non executable command in pipeline stage {stage}")

    def _command(self) -> nodes.Command:
        command = nodes.Command(self._peek_solid().position, [])
        while True:
            self._peek_solid()
            operand = self._operand()
            if operand is not None:
                command.args.append(operand)
            token = self._next()
            if token.kind == "space":
                continue
            if token.kind in {"right", "close"}:
                self._back(token)
            elif token.kind != "pipe":
                self._unexpected(token, "operand")
            break
        if not command.args:
            self._fail("empty command")
        return command

    def _operand(self) -> nodes.Node | None:
        node = self._term()
        if node is None or self._peek().kind != "field":
            return node
        position = self._peek().position
        names = []
        while self._peek().kind == "field":
            names.append(self._next().text[1:])
        if isinstance(node, nodes.Field):
            return nodes.Field(position, node.names + names)
        if isinstance(node, nodes.Variable):
            return nodes.Variable(position, node.name, node.names + names)
        if isinstance(node, nodes.Literal | nodes.Nil | nodes.Dot):
            self._fail(f"unexpected . after term {quote(str(node))}")
        return nodes.Chain(position, node, names)

    def _term(self) -> nodes.Node | None:
        token = self._solid()
        if token.kind == "error":
            self._fail(token.text)
        if token.kind == "identifier":
            if token.text not in self._functions:
                self._fail(f"function {quote(token.text)} not defined")
            return nodes.Identifier(token.position, token.text)
        if token.kind == "variable":
            if token.text not in self._variables:
                self._fail(f"undefined variable {quote(token.text)}")
            return nodes.Variable(token.position, token.text, [])
        if token.kind == "open":
            return self._pipeline("parenthesized pipeline", "close")
        return self._simple(token)

    def _simple(self, token: Token) -> nodes.Node | None:
        if token.kind == "keyword" and token.text in {".", "nil"}:
            return nodes.Dot(token.position) if token.text == "." else nodes.Nil(token.position)
        if token.kind == "field":
            return nodes.Field(token.position, [token.text[1:]])
        if token.kind in _LITERALS:
            return nodes.Literal(token.position, self._literal(token), token.text)
        self._back(token)
        return None

    def _literal(self, token: Token) -> object:
        if token.kind == "bool":
            return token.text == "true"
        if token.kind == "number":
            return self._number(token.text)
        return self._character(token) if token.kind == "character" else self._unquote(token)

    def _number(self, text: str) -> int | float:
        try:
            digits = text.lstrip("+-")
            octal = len(digits) > 1 and digits[0] == "0" and digits.isdigit()
            return int(text, 8 if octal else 0)
        except ValueError:
            pass
        try:
            return float(text)
        except ValueError:
            raise self._fail(f"illegal number syntax: {quote(text)}") from None

    def _character(self, token: Token) -> int:
        text = self._unquote(token)
        if len(text) != 1:
            self._fail(f"malformed character constant: {token.text}")
        return ord(text)

    def _unquote(self, token: Token) -> str:
        inner = token.text[1:-1]
        if token.kind == "raw":
            return inner.replace("\r", "")
        if "\\" not in inner:
            return inner
        out = bytearray()
        rest = inner
        while rest:
            head, slash, rest = rest.partition("\\")
            out += head.encode("utf-8", "surrogateescape")
            if slash:
                code, rest = self._escape(rest)
                out += code
        return out.decode("utf-8", "surrogateescape")

    def _escape(self, rest: str) -> tuple[bytes, str]:
        letter = rest[:1]
        if letter in _ESCAPES:
            return bytes([_ESCAPES[letter]]), rest[1:]
        try:
            if letter in _CODES:
                end = 1 + _CODES[letter]
                value = int(rest[1:end].ljust(1, "!"), 16)
                return (bytes([value]) if letter == "x" else chr(value).encode()), rest[end:]
            return bytes([int(rest[:3], 8)]), rest[3:]
        except (ValueError, OverflowError):
            raise self._fail("invalid syntax") from None
