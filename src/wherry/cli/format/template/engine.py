"""Carry a template out on data: rows of a list, JSON from the daemon, or both inside one another."""

from __future__ import annotations

from wherry.cli.format.rows import Row
from wherry.cli.format.template import nodes
from wherry.cli.format.template.functions import FUNCTIONS, HEADERS, FunctionError, truth
from wherry.cli.format.template.lexer import TemplateError
from wherry.cli.format.template.parser import Parser
from wherry.cli.format.template.printing import NO_VALUE, NoValue, Struct, go_type, plain
from wherry.cli.format.text import quote

__all__ = ["HEADERS", "Struct", "Template", "TemplateError"]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from wherry.cli.format.template.functions import Function

_DEPTH = 100
_ABSENT = NoValue()  # no final argument, as opposed to one that has no value


class Template:
    """A template, parsed. ``strict`` makes a map's missing key an error."""

    def __init__(
        self, source: str, *, name: str = "", strict: bool = False, extra: Mapping[str, Function] | None = None
    ) -> None:
        """Parse. Raises ``TemplateError`` with Go's words."""
        self.source = source
        self.name = name
        self.strict = strict
        self.functions: Mapping[str, Function] = {**FUNCTIONS, **extra} if extra else FUNCTIONS
        self.templates = Parser(source, self.functions, name).parse()

    def render(self, data: object, *, functions: Mapping[str, Function] | None = None) -> str:
        """The text for ``data``. Raises ``TemplateError``."""
        state = _State(self, functions or self.functions, data)
        try:
            state.walk(data, self.templates[""])
        except RecursionError:
            raise TemplateError(f"template: {self.name}: exceeded maximum template depth") from None
        return "".join(state.out)


class _Site:
    """Where a value is called: the node that errors name, its arguments, and the value piped into it."""

    __slots__ = ("arguments", "dot", "final", "node")

    def __init__(self, node: nodes.Node, dot: object, arguments: Sequence[nodes.Node], final: object) -> None:
        self.node = node
        self.dot = dot
        self.arguments = arguments
        self.final = final

    @property
    def given(self) -> int:
        """How many values are handed over."""
        return len(self.arguments) + (self.final is not _ABSENT)


class _Break(Exception):
    pass


class _Continue(Exception):
    pass


class _State:
    def __init__(self, template: Template, functions: Mapping[str, Function], data: object, depth: int = 0) -> None:
        self.out: list[str] = []
        self._template = template
        self._functions = functions
        self._variables: list[tuple[str, object]] = [("$", data)]
        self._node: nodes.Node = nodes.Dot(0)
        self._depth = depth

    def _fail(self, text: str) -> TemplateError:
        before = self._template.source[: self._node.position]
        line = 1 + before.count("\n")
        column = len(before[before.rfind("\n") + 1 :].encode("utf-8", "surrogateescape"))
        context = str(self._node)
        context = context if len(context) <= 20 else f"{context[:20]}..."
        name = self._template.name
        raise TemplateError(f"template: {name}:{line}:{column}: executing {quote(name)} at <{context}>: {text}")

    def walk(self, dot: object, body: Sequence[nodes.Node]) -> None:
        for node in body:
            self._node = node
            if isinstance(node, nodes.Text):
                self.out.append(node.text)
            elif isinstance(node, nodes.Action):
                value = self._pipeline(dot, node.pipeline)
                if not node.pipeline.variables:
                    self.out.append(plain(value))
            elif isinstance(node, nodes.Branch):
                mark = len(self._variables)
                if node.keyword == "range":
                    self._range(dot, node)
                else:
                    self._if_or_with(dot, node)
                del self._variables[mark:]
            elif isinstance(node, nodes.Call):
                self._call_template(dot, node)
            elif isinstance(node, nodes.Jump):
                raise _Break if node.keyword == "break" else _Continue

    def _if_or_with(self, dot: object, node: nodes.Branch) -> None:
        value = self._pipeline(dot, node.pipeline)
        if truth(value):
            self.walk(value if node.keyword == "with" else dot, node.body)
        elif node.otherwise is not None:
            self.walk(dot, node.otherwise)

    def _range(self, dot: object, node: nodes.Branch) -> None:
        value = self._pipeline(dot, node.pipeline)
        pairs: list[tuple[object, object]]
        if isinstance(value, list):
            pairs = list(enumerate(value))
        elif isinstance(value, dict) and not isinstance(value, Struct):
            pairs = [(key, value[key]) for key in sorted(value)]
        elif isinstance(value, int) and not isinstance(value, bool):
            pairs = [(at, at) for at in range(value)]
        elif value is None or value is NO_VALUE:
            pairs = []
        else:
            raise self._fail(f"range can't iterate over {plain(value)}")
        names = node.pipeline.variables
        mark = len(self._variables)
        try:
            for key, item in pairs:
                for name, one in zip(names, (key, item) if len(names) > 1 else (item,), strict=False):
                    self._assign(name, one)
                self._once(item, node.body)
                del self._variables[mark:]
        except _Break:
            return
        if not pairs and node.otherwise is not None:
            self.walk(dot, node.otherwise)

    def _once(self, item: object, body: Sequence[nodes.Node]) -> None:
        try:
            self.walk(item, body)
        except _Continue:
            return

    def _call_template(self, dot: object, node: nodes.Call) -> None:
        body = self._template.templates.get(node.name) if node.name else None
        if body is None:
            raise self._fail(f"template {quote(node.name)} not defined")
        if self._depth >= _DEPTH:
            raise self._fail(f"exceeded maximum template depth ({_DEPTH})")
        data = self._pipeline(dot, node.pipeline) if node.pipeline else NO_VALUE
        inner = _State(self._template, self._functions, data, self._depth + 1)
        inner.walk(data, body)
        self.out += inner.out

    def _assign(self, name: str, value: object) -> None:
        for at in range(len(self._variables) - 1, -1, -1):
            if self._variables[at][0] == name:
                self._variables[at] = (name, value)
                return
        raise self._fail(f"undefined variable: {name}")

    def _pipeline(self, dot: object, pipeline: nodes.Pipeline) -> object:
        self._node = pipeline
        value: object = _ABSENT
        for command in pipeline.commands:
            value = self._command(dot, command, value)
        for name in pipeline.variables:
            if pipeline.assigns:
                self._assign(name, value)
            else:
                self._variables.append((name, value))
        return value

    def _command(self, dot: object, command: nodes.Command, final: object) -> object:
        first, rest = command.args[0], command.args[1:]
        if isinstance(first, nodes.Identifier):
            self._node = first
            function, types = self._functions[first.name]
            return self._call(first.name, function, types, _Site(command, dot, rest, final))
        if isinstance(first, nodes.Field):
            return self._chain(dot, first.names, _Site(first, dot, rest, final))
        if isinstance(first, nodes.Chain):
            return self._chain(self._base(dot, first), first.names, _Site(first, dot, rest, final))
        if isinstance(first, nodes.Variable) and first.names:
            self._node = first
            return self._chain(self._variable(first.name), first.names, _Site(first, dot, rest, final))
        self._node = first
        if rest or final is not _ABSENT:
            raise self._fail(f"can't give argument to non-function {first}")
        return self._value(dot, first)

    def _value(self, dot: object, node: nodes.Node) -> object:
        if isinstance(node, nodes.Pipeline):
            return self._pipeline(dot, node)
        if isinstance(node, nodes.Variable):
            return self._variable(node.name)
        if isinstance(node, nodes.Literal):
            return node.value
        if isinstance(node, nodes.Nil):
            raise self._fail("nil is not a command")
        return dot

    def _base(self, dot: object, chain: nodes.Chain) -> object:
        self._node = chain
        return self._argument(dot, chain.base, "any")

    def _variable(self, name: str) -> object:
        for known, value in reversed(self._variables):
            if known == name:
                return value
        raise self._fail(f"undefined variable: {name}")

    def _chain(self, receiver: object, names: list[str], site: _Site) -> object:
        self._node = site.node
        for name in names[:-1]:
            receiver = self._field(receiver, name, _Site(site.node, site.dot, (), _ABSENT))
        return self._field(receiver, names[-1], site)

    def _field(self, receiver: object, name: str, site: _Site) -> object:
        if isinstance(receiver, NoValue):
            if self._template.strict:
                raise self._fail(f"nil data; no entry for key {quote(name)}")
            return NO_VALUE
        if receiver is None:
            raise self._fail(f"nil pointer evaluating interface {{}}.{name}")
        if isinstance(receiver, Row):
            method = receiver.kind.methods.get(name)
            if method is not None:
                data = receiver.data
                return self._call(name, lambda argument: method(data, argument), ("string",), site)
        elif name == "Label" and hasattr(receiver, "label"):
            return self._call(name, receiver.label, ("string",), site)
        if site.given:
            raise self._fail(f"{name} is not a method but has arguments")
        return self._plain_field(receiver, name)

    def _plain_field(self, receiver: object, name: str) -> object:
        if isinstance(receiver, Row):
            if name in receiver.kind.fields:
                return receiver.field(name)
        elif isinstance(receiver, dict):
            if name in receiver:
                return receiver[name]
            if not isinstance(receiver, Struct):
                if self._template.strict:
                    raise self._fail(f"map has no entry for key {quote(name)}")
                return NO_VALUE
        raise self._fail(f"can't evaluate field {name} in type {go_type(receiver)}")

    def _call(self, name: str, function: object, types: tuple[str, ...], site: _Site) -> object:
        arguments, least = site.arguments, len(types) - 1
        variadic = types[-1].endswith("...")
        if variadic and site.given < least:
            raise self._fail(f"wrong number of args for {name}: want at least {least} got {len(arguments)}")
        if not variadic and site.given != len(types):
            raise self._fail(f"wrong number of args for {name}: want {len(types)} got {site.given}")
        values: list[object] = []
        for at, argument in enumerate(arguments):
            values.append(self._argument(site.dot, argument, types[min(at, least)]))
            if name in {"and", "or"} and truth(values[-1]) == (name == "or"):
                return values[-1]  # the rest is not evaluated
        if site.final is not _ABSENT:
            values.append(self._typed(site.final, types[min(len(arguments), least)]))
        assert callable(function)
        try:
            return function(*values)
        except FunctionError as error:
            self._node = site.node
            raise self._fail(f"error calling {name}: {error}") from error

    def _argument(self, dot: object, node: nodes.Node, kind: str) -> object:
        self._node = node
        if isinstance(node, nodes.Nil):
            if kind.startswith("any"):
                return None
            raise self._fail(f"cannot assign nil to {kind}")
        if isinstance(node, nodes.Literal):
            return self._literal(node, kind)
        if isinstance(node, nodes.Pipeline):
            value = self._pipeline(dot, node)
        else:
            value = self._command(dot, nodes.Command(node.position, [node]), _ABSENT)
        return self._typed(value, kind)

    def _literal(self, node: nodes.Literal, kind: str) -> object:
        wanted = {"string": str, "int": int}.get(kind)
        if wanted is None:
            if kind == "[]string":
                raise self._fail(f"can't handle {node} for arg of type []string")
            return node.value
        if not isinstance(node.value, wanted) or isinstance(node.value, bool):
            raise self._fail(f"expected {'integer' if kind == 'int' else kind}; found {node}")
        return node.value

    def _typed(self, value: object, kind: str) -> object:
        if kind.startswith("any"):
            return value
        if value is None or isinstance(value, NoValue):
            if kind == "[]string":
                return []
            raise self._fail(f"invalid value; expected {kind}")
        if kind == "[]string" and isinstance(value, list):
            return value
        if go_type(value) != kind:
            raise self._fail(f"wrong type for value; expected {kind}; got {go_type(value)}")
        return value
