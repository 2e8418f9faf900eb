"""What is asked of registries without an image coming or going: logging in, looking at a name, searching."""

from __future__ import annotations

import asyncio
import json

import pytest

from support.commands import eventually
from support.hostile_registry import Answer, HostileRegistry, redirect, self_signed
from wherry.engine.registries import RegistryQueries
from wherry.lib.errors import Internal, InvalidArgument, NotFound, Unauthorized
from wherry.lib.filters import Filters
from wherry.transfer.remote import Credentials, Registries, RegistrySettings

INDEX = "application/vnd.oci.image.index.v1+json"
FOUND = [
    {"name": "a/one", "description": "first", "star_count": 5, "is_official": False, "is_automated": True},
    {"name": "two", "description": None, "star_count": 9, "is_official": True},
]


@pytest.fixture
def certificate(tmp_path):
    return self_signed(tmp_path)


@pytest.fixture
def queries():
    registries = Registries(RegistrySettings(certs_dirs=(), retry_delay=0.01))
    yield RegistryQueries(registries)
    registries.close()


@pytest.fixture
def registry():
    with HostileRegistry() as served:
        served.on("GET", "/v1/_ping", Answer(200, b"true"))
        served.on("GET", "/v1/search.*", Answer(200, json.dumps({"results": FOUND}).encode()))
        yield served


async def test_a_login_tells_the_identity_token(queries):
    with HostileRegistry(bearer=("me", "secret")) as registry:
        answer = await queries.log_in(Credentials("me", "secret", server_address=registry.host))
        assert answer.status == "Login Succeeded"
        assert answer.identity_token in registry.identity_tokens
        with pytest.raises(Unauthorized, match="incorrect username or password"):
            await queries.log_in(Credentials("me", "wrong", server_address=registry.host))


async def test_the_platforms_of_an_image(queries, registry):
    digest = registry.add_image("team/app", "latest", [b"x"], variant="v8")
    found = await queries.distribution(f"{registry.host}/team/app", None)
    assert found.descriptor.digest == digest
    assert [(one.os, one.architecture, one.variant) for one in found.platforms] == [("linux", "amd64", "v8")]


async def test_the_platforms_of_an_index(queries, registry):
    platforms = [{"os": "linux", "architecture": one} for one in ("amd64", "arm64")]
    every = [
        {
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "digest": f"sha256:{'0' * 64}",
            "size": 1,
            "platform": one,
        }
        for one in platforms
    ]
    registry.add_manifest("team/app", "v1", {"schemaVersion": 2, "manifests": every}, INDEX)
    found = await queries.distribution(f"{registry.host}/team/app:v1", None)
    assert found.descriptor.media_type == INDEX
    assert [one.architecture for one in found.platforms] == ["amd64", "arm64"]


async def test_a_name_that_leads_nowhere(queries, registry):
    """In the registry's own words, as in Docker."""
    with pytest.raises(NotFound, match=r"^manifest unknown$"):
        await queries.distribution(f"{registry.host}/team/app", None)
    with pytest.raises(Internal, match="no manifest found for full image ID"):
        await queries.distribution("0" * 64, None)


@pytest.mark.parametrize(
    ("filters", "names"),
    [
        ({}, ["a/one", "two"]),
        ({"is-official": ("true",)}, ["two"]),
        ({"is-official": ("0",)}, ["a/one"]),
        ({"stars": ("3", "6")}, ["two"]),
        ({"is-automated": ("true",)}, []),
        ({"is-automated": ("false",)}, ["a/one", "two"]),
    ],
)
async def test_searching(queries, registry, filters, names):
    found = await queries.search(f"{registry.host}/term with spaces", 7, Filters(filters), None)
    assert [one.name for one in found] == names
    assert not any(one.is_automated for one in found)
    assert all(one.path == "/v1/search?q=term+with+spaces&n=7" for one in registry.seen("GET", "/v1/search.*"))


@pytest.mark.parametrize(
    ("term", "limit", "filters", "words"),
    [
        ("http://x/y", 0, {}, "should not have a scheme"),
        ("x", 101, {}, r"limit 101 is outside the range of \[1, 100\]"),
        ("x", -1, {}, r"limit -1 is outside the range of \[1, 100\]"),
        ("x", 0, {"colour": ("blue",)}, "invalid filter 'colour'"),
        ("x", 0, {"stars": ("many",)}, "invalid filter 'stars=many'"),
        (
            "127.0.0.1:1/x",
            0,
            {},
            'invalid registry endpoint "http://127.0.0.1:1/v1/". HTTPS attempt: .* HTTP attempt: ',
        ),
    ],
)
async def test_a_search_that_makes_no_sense(queries, term, limit, filters, words):
    with pytest.raises(InvalidArgument, match=words):
        await queries.search(term, limit, Filters(filters), None)


async def test_a_registry_that_cannot_search(queries, registry):
    registry.on("GET", "/v1/search.*", Answer(404))
    with pytest.raises(Internal, match="unexpected status code 404"):
        await queries.search(f"{registry.host}/x", 0, Filters(), None)
    registry.on("GET", "/v1/search.*", Answer(200, b"no"))
    with pytest.raises(Internal, match="error decoding registry search results"):
        await queries.search(f"{registry.host}/x", 0, Filters(), None)


async def test_credentials_of_a_search_stay_at_their_host(certificate):
    """S17: they are sent unasked, by https alone, and follow no redirect."""
    me = Credentials("me", "secret")
    registries = Registries(RegistrySettings(certs_dirs=(), retry_delay=0.01))
    with HostileRegistry(tls=certificate) as registry, HostileRegistry(tls=certificate) as elsewhere:
        elsewhere.on("GET", "/found", Answer(200, json.dumps({"results": FOUND}).encode()))
        registry.on("GET", "/v1/_ping", Answer(200, b"true"))
        registry.on("GET", "/v1/search.*", redirect(f"{elsewhere.url}/found"))
        assert len(await RegistryQueries(registries).search(f"{registry.host}/x", 0, Filters(), me)) == 2
        assert registry.seen("GET", "/v1/search.*")[0].headers["authorization"].startswith("Basic ")
        assert all("authorization" not in one.headers for one in elsewhere.seen())
    registries.close()


async def test_a_caller_who_hangs_up_is_not_waited_for(queries, registry):
    registry.on("GET", "/v1/search.*", Answer(stall=25))
    task = asyncio.ensure_future(queries.search(f"{registry.host}/x", 0, Filters(), None))
    await asyncio.to_thread(eventually, "the search is asked", lambda: registry.seen("GET", "/v1/search.*"))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, 10)
