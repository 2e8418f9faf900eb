"""What a template is made of. ``str(node)`` is the source again, as error messages quote it."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


class Node:
    """Something that stands at a place of the source."""

    __slots__ = ("position",)

    def __init__(self, position: int) -> None:
        self.position = position


class Text(Node):
    """Text outside of actions."""

    __slots__ = ("text",)

    def __init__(self, position: int, text: str) -> None:
        super().__init__(position)
        self.text = text


class Literal(Node):
    """A string, number or boolean: its value and how it is written."""

    __slots__ = ("source", "value")

    def __init__(self, position: int, value: object, source: str) -> None:
        super().__init__(position)
        self.value = value
        self.source = source

    def __str__(self) -> str:
        return self.source


class Nil(Node):
    """The word nil."""

    def __str__(self) -> str:
        return "nil"


class Dot(Node):
    """The cursor."""

    def __str__(self) -> str:
        return "."


class Field(Node):
    """.A.B"""

    __slots__ = ("names",)

    def __init__(self, position: int, names: list[str]) -> None:
        super().__init__(position)
        self.names = names

    def __str__(self) -> str:
        return "".join(f".{name}" for name in self.names)


class Variable(Node):
    """$x.A.B: the name with its dollar, and the fields after it."""

    __slots__ = ("name", "names")

    def __init__(self, position: int, name: str, names: list[str]) -> None:
        super().__init__(position)
        self.name = name
        self.names = names

    def __str__(self) -> str:
        return ".".join([self.name, *self.names])


class Chain(Node):
    """(pipeline).A.B"""

    __slots__ = ("base", "names")

    def __init__(self, position: int, base: Node, names: list[str]) -> None:
        super().__init__(position)
        self.base = base
        self.names = names

    def __str__(self) -> str:
        base = f"({self.base})" if isinstance(self.base, Pipeline) else str(self.base)
        return base + "".join(f".{name}" for name in self.names)


class Identifier(Node):
    """A function's name."""

    __slots__ = ("name",)

    def __init__(self, position: int, name: str) -> None:
        super().__init__(position)
        self.name = name

    def __str__(self) -> str:
        return self.name


class Command(Node):
    """An operand and its arguments."""

    __slots__ = ("args",)

    def __init__(self, position: int, args: list[Node]) -> None:
        super().__init__(position)
        self.args = args

    def __str__(self) -> str:
        return " ".join(f"({arg})" if isinstance(arg, Pipeline) else str(arg) for arg in self.args)


class Pipeline(Node):
    """Commands, each handing its value to the next; what they declare or assign."""

    __slots__ = ("assigns", "commands", "variables")

    def __init__(self, position: int) -> None:
        super().__init__(position)
        self.commands: list[Command] = []
        self.variables: list[str] = []
        self.assigns = False

    def __str__(self) -> str:
        head = f"{', '.join(self.variables)} {'=' if self.assigns else ':='} " if self.variables else ""
        return head + " | ".join(str(command) for command in self.commands)


class Action(Node):
    """A pipeline whose value is printed."""

    __slots__ = ("pipeline",)

    def __init__(self, position: int, pipeline: Pipeline) -> None:
        super().__init__(position)
        self.pipeline = pipeline

    def __str__(self) -> str:
        return f"{{{{{self.pipeline}}}}}"


class Branch(Node):
    """if, with and range: a pipeline, what follows, and what else."""

    __slots__ = ("body", "keyword", "otherwise", "pipeline")

    def __init__(
        self, position: int, keyword: str, pipeline: Pipeline, body: Sequence[Node], otherwise: Sequence[Node] | None
    ) -> None:
        super().__init__(position)
        self.keyword = keyword
        self.pipeline = pipeline
        self.body = body
        self.otherwise = otherwise

    def __str__(self) -> str:
        return f"{{{{{self.keyword} {self.pipeline}}}}}…{{{{end}}}}"


class Call(Node):
    """{{template "name" pipeline}}"""

    __slots__ = ("name", "pipeline")

    def __init__(self, position: int, name: str, pipeline: Pipeline | None) -> None:
        super().__init__(position)
        self.name = name
        self.pipeline = pipeline

    def __str__(self) -> str:
        return f'{{{{template "{self.name}"{f" {self.pipeline}" if self.pipeline else ""}}}}}'


class Jump(Node):
    """break, continue, and while parsing end and else."""

    __slots__ = ("keyword",)

    def __init__(self, position: int, keyword: str) -> None:
        super().__init__(position)
        self.keyword = keyword

    def __str__(self) -> str:
        return f"{{{{{self.keyword}}}}}"
