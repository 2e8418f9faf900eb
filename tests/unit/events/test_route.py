"""GET /events: times, their order, and what older clients must not see."""

from __future__ import annotations

import asyncio
import json
from types import SimpleNamespace

import pytest

from wherry.api.routes.event import stream_events
from wherry.api.server.routing import ApiVersion
from wherry.lib.errors import InvalidArgument
from wherry.lib.filters import Filters
from wherry.wire.event import EventActor, EventMessage


class Backend:
    def __init__(self, *messages):
        self.messages = messages
        self.asked = None
        self.closed = False

    def subscribe(self, *span):
        self.asked = span
        return self._stream()

    async def _stream(self):
        try:
            for message in self.messages:
                yield message
        finally:
            self.closed = True


def request(minor=50, **parameters):
    query = SimpleNamespace(text=lambda name, default="": parameters.get(name, default), filters=Filters)
    return SimpleNamespace(version=ApiVersion(1, minor), query=query)


def message(type_, action):
    actor = EventActor(id="x", attributes={"name": "n"})
    return EventMessage(type=type_, action=action, actor=actor, scope="local", time=1, time_nano=1_000_000_005)


def streamed(backend, asked):
    async def collect():
        response = await stream_events(backend, asked)
        assert response.eager
        assert response.content_type == "application/json"
        return [json.loads(chunk) async for chunk in response.chunks]

    return asyncio.run(collect())


def test_times_reach_the_backend():
    """Seconds, fractions and RFC 3339; nothing given is None."""
    backend = Backend()
    assert streamed(backend, request(since="12.5", until="1970-01-01T00:01:00Z")) == []
    assert backend.asked[:2] == (12_500_000_000, 60_000_000_000)
    streamed(backend, request())
    assert backend.asked[:2] == (None, None)


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"since": "5", "until": "1"}, "`since` time (5) cannot be after `until` time (1)"),
        ({"since": "abc"}, 'strconv.ParseInt: parsing "abc": invalid syntax'),
    ],
)
def test_bad_times(parameters, words):
    """Refused before anything is sent."""
    with pytest.raises(InvalidArgument) as error:
        asyncio.run(stream_events(Backend(), request(**parameters)))
    assert error.value.message == words


def test_json_is_dockerds():
    """The keys and their order, and no empty legacy fields."""
    backend = Backend(message("volume", "create"))
    (event,) = streamed(backend, request())
    assert list(event) == ["Type", "Action", "Actor", "scope", "time", "timeNano"]
    assert event["Actor"] == {"ID": "x", "Attributes": {"name": "n"}}
    assert backend.closed


def test_image_create_is_new():
    """Clients before 1.46 do not know the creation of images."""
    both = (message("image", "create"), message("image", "tag"))
    assert [event["Action"] for event in streamed(Backend(*both), request(45))] == ["tag"]
    assert [event["Action"] for event in streamed(Backend(*both), request(46))] == ["create", "tag"]
