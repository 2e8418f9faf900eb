"""Events: what happened, told to whoever listens and remembered for who asks later.

Whoever has something to tell declares a protocol of its own with ``Events.emit`` in it:

    class EventSink(Protocol):
        def emit(self, type: str, action: str, actor: str, attributes: Mapping[str, str]) -> None: ...
"""

from wherry.engine.events.filter import EventFilter
from wherry.engine.events.hub import Events

__all__ = ["EventFilter", "Events"]
