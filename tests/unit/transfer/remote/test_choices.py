"""Where requests go: mirrors by prefix, insecure registries, proxies and the hosts without one."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherry.lib.errors import InvalidArgument
from wherry.oci.reference import parse_reference
from wherry.transfer.remote import RegistrySettings
from wherry.transfer.remote.insecure import parse_insecure
from wherry.transfer.remote.mirrors import hub_mirrors, mirrors_of, parse_mirrors
from wherry.transfer.remote.places import places_of
from wherry.transfer.remote.proxies import Proxies, parse_proxy, proxies_of
from wherry.transfer.remote.url import parse_url


def shown(name, *, push=False, mirrors=(), insecure=()):
    settings = RegistrySettings(mirrors=parse_mirrors(mirrors), insecure=parse_insecure(insecure))
    return [f"{one.url}{one.path}" for one in places_of(settings, parse_reference(name), push=push)]


def test_docker_hub_has_another_name():
    assert shown("busybox") == ["https://registry-1.docker.io/library/busybox"]


@pytest.mark.parametrize("host", ["localhost:5000", "127.0.0.1:5000", "127.9.9.9", "[::1]:5000"])
def test_loopback_may_be_plain(host):
    assert shown(f"{host}/a/b") == [f"https://{host}/a/b", f"http://{host}/a/b"]


def test_a_registry_elsewhere_may_not():
    assert shown("192.0.2.1:5000/a") == ["https://192.0.2.1:5000/a"]


@pytest.mark.parametrize("rule", ["192.0.2.0/24", "192.0.2.1:5000", "http://192.0.2.1:5000"])
def test_unless_it_is_said(rule):
    assert shown("192.0.2.1:5000/a", insecure=[rule])[1:] == ["http://192.0.2.1:5000/a"]


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ("-a", r"invalid index name \(-a\). Cannot begin or end with a hyphen"),
        ("ftp://a", "insecure registry ftp://a should not contain '://'"),
        ("a b", 'insecure registry a b is not valid: invalid host "a b"'),
        ("a:99999", 'insecure registry a:99999 is not valid: invalid port "99999"'),
    ],
)
def test_a_rule_that_is_none(rule, words):
    with pytest.raises(InvalidArgument, match=words):
        parse_insecure([rule])


def test_mirrors_come_first_and_take_no_push():
    mirrors = ["https://m1.example", "https://m2.example/"]
    assert shown("busybox", mirrors=mirrors) == [
        "https://m1.example/library/busybox",
        "https://m2.example/library/busybox",
        "https://registry-1.docker.io/library/busybox",
    ]
    assert shown("busybox", mirrors=mirrors, push=True) == ["https://registry-1.docker.io/library/busybox"]
    assert shown("quay.io/a/b", mirrors=mirrors) == ["https://quay.io/a/b"]


def test_the_longest_prefix_counts():
    mirrors = ["quay.io=https://all.example", "quay.io/team=https://team.example/t", "quay.io/team=https://two.example"]
    assert shown("quay.io/team/app", mirrors=mirrors)[:2] == ["https://team.example/t/app", "https://two.example/app"]
    assert shown("quay.io/teams/app", mirrors=mirrors)[0] == "https://all.example/teams/app"


def test_hub_mirrors_are_shown_as_docker_shows_them():
    assert hub_mirrors(parse_mirrors(["https://m.example", "https://m.example/", "quay.io=https://q.example"])) == [
        "https://m.example/"
    ]


@pytest.mark.parametrize(
    ("mirror", "words"),
    [
        ("m.example:5000", 'invalid mirror: no scheme specified for "m.example:5000"'),
        ("ftp://m.example", 'invalid mirror: unsupported scheme "ftp"'),
        ("https://m.example/?a=b", "invalid mirror: query or fragment at end of the URI"),
        ("https://me:secret@m.example", r'username/password not allowed in URI "https://me:xxxxx@m.example"'),
        ("Not A Prefix=https://m.example", "invalid mirror"),
    ],
)
def test_a_mirror_that_is_none(mirror, words):
    with pytest.raises(InvalidArgument, match=words) as told:
        parse_mirrors([mirror])
    assert "secret" not in told.value.message


@given(st.text(max_size=60))
def test_no_mirror_breaks_the_reader(text):
    with contextlib.suppress(InvalidArgument):
        mirrors_of(parse_mirrors([text]), parse_reference("busybox"))


@pytest.mark.parametrize(
    ("none", "url", "direct"),
    [
        ("", "http://a.example/", False),
        ("*", "http://a.example/", True),
        ("a.example", "http://a.example/", True),
        ("a.example", "http://sub.a.example/", True),
        ("a.example", "http://aa.example/", False),
        (".a.example", "http://a.example/", False),
        (".a.example", "http://sub.a.example/", True),
        ("*.a.example", "http://sub.a.example/", True),
        ("a.example:81", "http://a.example/", False),
        ("a.example:81", "http://a.example:81/", True),
        ("x, 192.0.2.0/24", "http://192.0.2.9/", True),
        ("192.0.2.0/24", "http://192.0.3.9/", False),
        ("192.0.2.9", "http://192.0.2.9/", True),
        ("[2001:db8::1]:80", "http://[2001:db8::1]/", True),
        ("A.Example", "http://a.EXAMPLE/", True),
        ("", "http://127.0.0.1/", True),
        ("", "http://localhost/", True),
        ("", "http://[::1]/", True),
    ],
)
def test_who_is_reached_without_a_proxy(none, url, direct):
    """The rules of Go's httpproxy."""
    assert (Proxies(http="http://proxy:3128", none=none).proxy_for(parse_url(url)) is None) == direct


def test_a_proxy_by_scheme():
    proxies = Proxies(https="proxy:3128")
    assert proxies.proxy_for(parse_url("http://a.example/")) is None
    assert str(proxies.proxy_for(parse_url("https://a.example/")).url) == "http://proxy:3128/"


def test_a_proxys_user_is_not_shown():
    proxy = parse_proxy("http://me:p%40ss@proxy:3128")
    assert proxy.authorization == "Basic bWU6cEBzcw=="
    assert "p%40ss" not in repr(proxy)
    with pytest.raises(InvalidArgument) as told:
        parse_proxy("http://me:secret@")
    assert "secret" not in told.value.message


def test_what_is_said_goes_before_the_environment():
    environment = {"HTTP_PROXY": "http://a", "https_proxy": "http://b", "no_proxy": "x"}
    assert proxies_of(environment, http="http://c") == Proxies("http://c", "http://b", "x")


@given(st.text(max_size=40), st.text(max_size=40))
def test_no_proxy_rule_breaks_the_reader(none, host):
    try:
        url = parse_url(f"http://{host}/")
    except InvalidArgument:
        return
    Proxies(http="http://proxy", none=none).proxy_for(url)
