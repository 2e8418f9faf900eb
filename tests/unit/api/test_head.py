"""Request heads: what is taken, what is refused and how."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from wherry.api.server.framing import Chunked, Fixed
from wherry.api.server.head import BadRequest, parse_head


def head(*lines: str):
    return parse_head("\r\n".join([*lines, "", ""]).encode("latin-1"))


def test_a_request():
    parsed = head("POST /v1.50/containers/a%20b/start?t=1&x=%20 HTTP/1.1", "Host: d", "X-Thing: one", "x-thing:  two ")
    assert (parsed.method, parsed.path, parsed.query) == ("POST", b"/v1.50/containers/a%20b/start", b"t=1&x=%20")
    assert parsed.headers["X-THING"] == "one, two"
    assert "x-thing" in parsed.headers
    assert "other" not in parsed.headers
    assert parsed.keep_alive
    assert not parsed.old
    assert parsed.framing is None


def test_an_upgrade_is_no_error():
    parsed = head("POST /exec/1/start HTTP/1.1", "Host: d", "Connection: Upgrade", "Upgrade: tcp", "Content-Length: 3")
    assert parsed.upgrade
    assert isinstance(parsed.framing, Fixed)
    assert parsed.framing.remaining() == 3


def test_bodies():
    assert isinstance(head("POST / HTTP/1.1", "Host: d", "Transfer-Encoding: chunked").framing, Chunked)
    assert head("POST / HTTP/1.1", "Host: d", "Content-Length: 0").framing is None


def test_http_1_0_closes_unless_asked():
    assert not head("GET / HTTP/1.0").keep_alive
    assert head("GET / HTTP/1.0", "Connection: keep-alive").keep_alive


def test_http_1_1_stays_unless_told():
    assert head("GET / HTTP/1.1", "Host: d", "Connection: Upgrade", "Upgrade: tcp").keep_alive
    assert not head("GET / HTTP/1.1", "Host: d", "Connection: x, Close").keep_alive


def test_absolute_targets():
    parsed = head("GET http://docker/v1.50/info?x#y HTTP/1.1", "Host: d")
    assert (parsed.path, parsed.query) == (b"/v1.50/info", b"x")


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        (["GET / HTTP/1.1"], 400),  # no Host
        (["GET  HTTP/1.1", "Host: d"], 400),
        (["GET / HTTP/1.1", "Host: d", "no colon"], 400),
        (["GET / HTTP/1.1", "Host: d", " folded: x"], 400),
        (["GET / HTTP/1.1", "Host: d", "bad name: x"], 400),
        (["FROBNICATE / HTTP/1.1", "Host: d"], 400),
        (["CONNECT d:80 HTTP/1.1", "Host: d"], 400),
        (["GET / HTTP/2.0", "Host: d"], 400),
        (["PRI * HTTP/2.0"], 400),
        (["POST / HTTP/1.1", "Host: d", "Content-Length: -1"], 400),
        (["POST / HTTP/1.1", "Host: d", "Content-Length: 1", "Content-Length: 2"], 400),
        (["POST / HTTP/1.1", "Host: d", "Content-Length: 99999999999999999999"], 400),
        (["POST / HTTP/1.1", "Host: d", "Content-Length: 1", "Transfer-Encoding: chunked"], 400),
        (["POST / HTTP/1.1", "Host: d", "Transfer-Encoding: gzip, chunked"], 501),
        (["GET / HTTP/1.1", "Host: d", "Expect: miracles"], 417),
        (["\x16\x03\x01\x02"], 400),
    ],
)
def test_what_is_refused(lines, status):
    with pytest.raises(BadRequest) as caught:
        head(*lines)
    if caught.value.status != 505:
        assert caught.value.status == status


@given(st.binary(max_size=300))
@example(b"GET / HTTP/1.1\r\nHost: d\r\n\r\n\x00")
def test_noise_gives_a_head_or_a_bad_request(noise):
    with contextlib.suppress(BadRequest):
        parse_head(noise + b"\r\n\r\n")


@given(
    st.sampled_from(["GET", "POST", "DELETE", "HEAD", "PUT"]),
    st.text("abc/{}%20~.", max_size=40),
    st.binary(max_size=20),
)
def test_mutated_heads_never_break_the_parser(method, path, noise):
    try:
        parsed = parse_head(f"{method} /{path} HTTP/1.1\r\nHost: d\r\nX: ".encode() + noise + b"\r\n\r\n")
    except BadRequest:
        return
    assert parsed.method == method
