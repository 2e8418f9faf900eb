"""Webhooks: the envelope of Docker's registry, sent until it is taken, and never in anybody's way."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from registry.hook_server import HookServer
from registry.requests import request
from wherry.lib.errors import InvalidArgument
from wherry.registry.hooks import Event
from wherry.registry.metrics import Metrics
from wherry.registry.webhooks import Webhooks
from wherry.registry.webhooks_settings import parse_webhooks

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
DIGEST = "sha256:" + "ab" * 32


def _push(tag: str = "latest") -> Event:
    asked = request("PUT", "/v2/a/b/manifests/latest", host="r.test:5000", user_agent="docker/28")
    asked.user = "alice"
    return Event(
        action="push",
        repository="a/b",
        digest=DIGEST,
        media_type=MANIFEST,
        size=528,
        tag=tag,
        references=({"mediaType": "x", "digest": DIGEST, "size": 1, "urls": None},),
        url=f"http://r.test:5000/v2/a/b/manifests/{DIGEST}",
        request=asked,
    )


@contextmanager
def _hooks(server: HookServer, metrics: Metrics | None = None, **options: object) -> Iterator[Webhooks]:
    endpoint = {"name": "listener", "url": f"{server.url}/event?x=1", "backoff": "20ms", **options}
    settings = parse_webhooks({"events": {"includereferences": True}, "endpoints": [endpoint]})
    hooks = Webhooks(settings, "registry:5000", metrics or Metrics())
    hooks.start()
    try:
        yield hooks
    finally:
        hooks.close()


def test_the_envelope() -> None:
    """A push is told with all that Docker's registry tells of one."""
    with HookServer() as server, _hooks(server, headers={"Authorization": ["Bearer x"]}) as hooks:
        hooks.happened(_push())
        post = server.next()
    assert post.path == "/event?x=1"
    assert post.headers["content-type"] == "application/vnd.docker.distribution.events.v1+json"
    assert post.headers["authorization"] == "Bearer x"
    (event,) = post.body["events"]
    assert event.pop("id")
    assert event.pop("timestamp").endswith("Z")
    assert event.pop("source")["addr"] == "registry:5000"
    assert event == {
        "action": "push",
        "target": {
            "mediaType": MANIFEST, "size": 528, "length": 528, "digest": DIGEST, "repository": "a/b", "tag": "latest",
            "url": f"http://r.test:5000/v2/a/b/manifests/{DIGEST}",
            "references": [{"mediaType": "x", "digest": DIGEST, "size": 1}],
        },
        "request": {
            "id": "6b29fc40-ca47-1067-b31d-00dd010662da", "addr": "192.0.2.1:1234", "host": "r.test:5000",
            "method": "PUT", "useragent": "docker/28",
        },
        "actor": {"name": "alice"},
    }  # fmt: skip


def test_a_deletion_and_a_mount() -> None:
    """They say what they can."""
    with HookServer() as server, _hooks(server) as hooks:
        hooks.happened(Event(action="delete", repository="a", digest="", tag="old"))
        assert server.next().body["events"][0]["target"] == {"repository": "a", "tag": "old"}
        hooks.happened(Event(action="mount", repository="a", digest=DIGEST, size=3, from_repository="b"))
        assert server.next().body["events"][0]["target"]["fromRepository"] == "b"


def test_tried_until_taken() -> None:
    """Errors are tried again, beyond the threshold after a pause; order is kept."""
    metrics = Metrics()
    with HookServer(500, 503, 404, 500) as server, _hooks(server, metrics, threshold=2) as hooks:
        hooks.happened(_push("one"))
        hooks.happened(_push("two"))
        assert [server.next().body["events"][0]["target"]["tag"] for _ in range(2)] == ["one", "two"]
    text = metrics.scrape().decode()
    assert 'registry_notifications_events_total{type="Failures",endpoint="listener"} 4' in text
    assert 'registry_notifications_events_total{type="Successes",endpoint="listener"} 2' in text
    assert 'registry_notifications_status_total{code="404 Not Found",endpoint="listener"} 1' in text
    assert 'registry_notifications_pending_total{endpoint="listener"} 0' in text


def test_what_is_ignored() -> None:
    """Media types and actions that an endpoint does not want do not reach it."""
    ignore = {"actions": ["pull"], "mediatypes": ["application/octet-stream"]}
    with HookServer() as server, _hooks(server, ignore=ignore) as hooks:
        hooks.happened(dataclasses.replace(_push(), action="pull"))
        hooks.happened(Event(action="push", repository="a", digest=DIGEST))
        hooks.happened(_push("wanted"))
        assert server.next().body["events"][0]["target"]["tag"] == "wanted"
        assert server.posts.empty()


def test_a_full_queue_loses_the_oldest() -> None:
    """An endpoint that hangs holds nobody up, and costs no more memory than its queue."""
    free, metrics = threading.Event(), Metrics()
    with HookServer() as server, _hooks(server, metrics, queue=3, timeout="20s") as hooks:
        server.hold = free.wait
        for number in range(10):
            hooks.happened(_push(str(number)))
        free.set()
        last = [""]
        while last[-1] != "9":
            last.append(server.next().body["events"][0]["target"]["tag"])
    assert last[-3:] == ["7", "8", "9"]
    assert metrics.notified.get("Dropped", "listener") >= 6


def test_the_end_does_not_wait_for_a_dead_endpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is left is tried for a moment and then lost."""
    monkeypatch.setattr("wherry.registry.webhooks.LAST_SECONDS", 0.1)
    with HookServer() as gone:
        pass
    with _hooks(gone) as hooks:
        hooks.happened(_push())


@pytest.mark.parametrize(
    ("endpoint", "words"),
    [
        ({"url": "http://a"}, '"name" must be set'),
        ({"name": "n"}, '"url" must be set'),
        ({"name": "n", "url": "ftp://a"}, "no address to send to"),
        ({"name": "n", "url": "http://a", "timeout": "soon"}, "timeout"),
        ({"name": "n", "url": "http://a", "headers": []}, None),
        ({"name": "n", "url": "http://a", "headers": {"X": ["a\nb"]}}, "line break"),
    ],
)
def test_settings_that_make_no_sense(endpoint: dict[str, object], words: str | None) -> None:
    """Each is refused when the registry starts, unless the endpoint is disabled."""
    if words is not None:
        with pytest.raises(InvalidArgument, match=words):
            parse_webhooks({"endpoints": [endpoint]})
    assert parse_webhooks({"endpoints": [{**endpoint, "disabled": True}]}).endpoints == ()
