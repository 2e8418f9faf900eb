"""Event filters: the rules of dockerd."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherry.engine.events.filter import NOUNS, EventFilter, without_tag
from wherry.lib.filters import Filters

CID = "fc8be69986183386ab7478c4d1c885557c4059619de42ec02c13d1aeff6afe00"


def container(action="start", **attributes):
    return {
        "type_": "container",
        "action": action,
        "actor": CID,
        "attributes": {"image": "busybox:latest", "name": "web1", "tier": "front", **attributes},
        "scope": "local",
    }


def matches(terms, event):
    return EventFilter(Filters({name: tuple(values) for name, values in terms.items()})).matches(**event)


@pytest.mark.parametrize(
    ("terms", "expected"),
    [
        ({}, True),
        ({"container": ["web"]}, True),
        ({"container": [CID[:5]]}, True),
        ({"container": ["b1"]}, False),
        ({"container": ["x", "web1"]}, True),
        ({"type": ["container"]}, True),
        ({"type": ["cont"]}, False),
        ({"scope": ["swarm"]}, False),
        ({"scope": ["local"], "type": ["container"]}, True),
        ({"image": ["busybox"]}, True),
        ({"image": ["busybox:latest"]}, True),
        ({"image": ["busybox:1"]}, False),
        ({"image": ["busy"]}, False),
        ({"label": ["tier"]}, True),
        ({"label": ["tier=front"]}, True),
        ({"label": ["tier=back"]}, False),
        ({"label": ["tier", "other"]}, False),
        ({"event": ["start"]}, True),
        ({"event": ["sta"]}, False),
        ({"event": ["stop", "start"]}, True),
        ({"container": ["web"], "volume": ["data"]}, False),
        ({"unknown": ["x"]}, True),
    ],
)
def test_container_event(terms, expected):
    """One container's start against each filter."""
    assert matches(terms, container()) is expected


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [("exec_create", True), ("exec_create: sh", True), ("exec_create: s", False), ("exec_start", False)],
)
def test_actions_with_a_detail(wanted, expected):
    """``exec_create`` finds ``exec_create: sh``; a value with the detail matches exactly."""
    assert matches({"event": [wanted]}, container("exec_create: sh")) is expected


def test_image_event_matches_by_id_and_name():
    """Events of an image match its id, its name and its name without the tag."""
    event = {
        "type_": "image",
        "action": "tag",
        "actor": "sha256:12",
        "attributes": {"name": "docker.io/library/redis:7"},
        "scope": "local",
    }
    assert matches({"image": ["sha256:12"]}, event)
    assert matches({"image": ["redis"]}, event)
    assert not matches({"image": ["redis:8"]}, event)


@pytest.mark.parametrize(
    ("image", "name"),
    [
        ("busybox", "busybox"),
        ("busybox:1.36", "busybox"),
        ("localhost:5000/a/b:tag", "localhost:5000/a/b"),
        ("localhost:5000/a/b", "localhost:5000/a/b"),
        ("docker.io/library/busybox:latest", "busybox"),
        ("docker.io/grafana/loki:latest", "grafana/loki"),
        ("a@sha256:" + "0" * 64, "a"),
        ("a:b@sha256:" + "0" * 64, "a"),
        ("", ""),
    ],
)
def test_without_tag(image, name):
    """The familiar name is what a user would have typed."""
    assert without_tag(image) == name


@given(st.text(max_size=20), st.text(max_size=20), st.sampled_from(NOUNS))
def test_nouns_match_beginnings(actor, rest, noun):
    """Every beginning of an id or a name is found, for any type of event."""
    event = {"type_": "plugin", "action": "x", "actor": actor + rest, "attributes": {"name": rest}, "scope": "local"}
    assert matches({noun: [actor]}, event)
    assert matches({noun: [rest]}, event)
