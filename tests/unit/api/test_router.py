"""From method and path to a route."""

from __future__ import annotations

import pytest

from wherry.api.server.operations import OPERATIONS
from wherry.api.server.router import Router, Unbuilt
from wherry.api.server.routing import Route
from wherry.lib.errors import NotFound


async def handler(_request):
    raise AssertionError


ROUTES = [
    Route(method, pattern, handler)
    for method, pattern in [
        ("GET", "/images/json"),
        ("GET", "/images/{name:path}/json"),
        ("GET", "/images/{name:path}/get"),
        ("GET", "/images/get"),
        ("DELETE", "/images/{name:path}"),
        ("GET", "/containers/{name}/json"),
        ("GET", "/containers/json"),
        ("DELETE", "/containers/{name}"),
        ("GET", "/networks/{id}"),
    ]
]


@pytest.mark.parametrize(
    ("method", "path", "pattern", "parameters"),
    [
        ("GET", "/images/json", "/images/json", {}),
        ("GET", "/images/json/json", "/images/{name:path}/json", {"name": "json"}),
        ("GET", "/images/a/b/c:1/json", "/images/{name:path}/json", {"name": "a/b/c:1"}),
        ("GET", "/images/a/get/get", "/images/{name:path}/get", {"name": "a/get"}),
        ("DELETE", "/images/a/b@sha256:0", "/images/{name:path}", {"name": "a/b@sha256:0"}),
        ("GET", "/containers/json", "/containers/json", {}),
        ("GET", "/containers/json/json", "/containers/{name}/json", {"name": "json"}),
        ("DELETE", "/containers/a.b", "/containers/{name}", {"name": "a.b"}),
    ],
)
def test_the_most_specific_route_wins(method, path, pattern, parameters):
    found, named = Router(ROUTES).find(method, path)
    assert isinstance(found, Route)
    assert found.pattern == pattern
    assert dict(named) == parameters


@pytest.mark.parametrize(
    ("method", "path", "name"),
    [
        ("POST", "/build", "POST /build"),
        ("GET", "/services", "GET /services"),
        ("POST", "/images/a/b/push", "POST /images/{name}/push"),
        ("PUT", "/containers/x/archive", "PUT /containers/{id}/archive"),
        ("POST", "/session", "POST /session"),
    ],
)
def test_documented_operations_without_a_route_have_a_name(method, path, name):
    found, _ = Router(ROUTES).find(method, path)
    assert isinstance(found, Unbuilt)
    assert found.name == name


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"),
        ("GET", ""),
        ("GET", "/nope"),
        ("PUT", "/containers/json"),
        ("GET", "/containers//json"),
        ("GET", "/containers/a/b/json"),
    ],
)
def test_other_paths_are_not_found(method, path):
    with pytest.raises(NotFound, match="page not found"):
        Router(ROUTES).find(method, path)


def test_every_documented_operation_is_known():
    assert len(OPERATIONS) >= 107
    assert len(set(OPERATIONS)) == len(OPERATIONS)
