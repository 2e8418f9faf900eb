"""wherryd's settings of registries: dockerd's keys and flags, and its words for what cannot be."""

from __future__ import annotations

import json

import pytest

from wherry.daemon.config import load
from wherry.daemon.registries import registry_settings
from wherry.lib.errors import InvalidArgument


@pytest.fixture
def file(tmp_path):
    def write(**settings):
        path = tmp_path / "daemon.json"
        path.write_text(json.dumps(settings))
        return ["--config-file", str(path)]

    return write


def test_defaults(file):
    config = load(file())
    assert (config.max_concurrent_downloads, config.max_concurrent_uploads, config.max_download_attempts) == (3, 5, 5)
    settings = registry_settings(config)
    assert settings.mirrors == ()
    assert [str(network) for network in settings.insecure.networks] == ["::1/128", "127.0.0.0/8"]
    assert [str(path) for path in settings.certs_dirs] == ["/etc/docker/certs.d", "/etc/wherry/certs.d"]


def test_the_keys_of_the_file(file):
    config = load(
        file(
            **{
                "registry-mirrors": ["https://m.example", "quay.io=https://q.example"],
                "insecure-registries": ["10.0.0.0/8", "reg.example:5000"],
                "max-concurrent-downloads": 7,
                "max-concurrent-uploads": 8,
                "max-download-attempts": 9,
                "proxies": {"http-proxy": "http://h:1", "https-proxy": "http://s:1", "no-proxy": "a,b"},
                "allow-nondistributable-artifacts": ["reg.example"],
            }
        )
    )
    assert (config.max_concurrent_downloads, config.max_concurrent_uploads) == (7, 8)
    assert (config.http_proxy, config.https_proxy, config.no_proxy) == ("http://h:1", "http://s:1", "a,b")
    assert config.allow_nondistributable_artifacts == ("reg.example",)
    settings = registry_settings(config)
    assert [mirror.prefix for mirror in settings.mirrors] == ["docker.io", "quay.io"]
    assert settings.insecure.hosts == {"reg.example:5000"}
    assert settings.attempts == 9


def test_the_flags(file):
    flags = ["--registry-mirror", "https://a", "--registry-mirror", "https://b", "--insecure-registry", "c"]
    flags += ["--max-concurrent-downloads", "1", "--http-proxy", "http://p", "--no-proxy", "x"]
    config = load([*file(), *flags])
    assert config.registry_mirrors == ("https://a", "https://b")
    assert (config.insecure_registries, config.max_concurrent_downloads) == (("c",), 1)
    assert registry_settings(config).proxies.http == "http://p"


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"max-concurrent-downloads": -1}, "invalid max concurrent downloads: -1"),
        ({"max-concurrent-uploads": -1}, "invalid max concurrent uploads: -1"),
        ({"max-download-attempts": -2}, "invalid max download attempts: -2"),
        ({"registry-mirrors": ["m.example"]}, "invalid mirror: no scheme specified"),
        ({"insecure-registries": ["ftp://x"]}, "should not contain '://'"),
        ({"proxies": {"ftp-proxy": "x"}}, "don't match any configuration option: ftp-proxy"),
        ({"proxies": "x"}, "invalid value for proxies"),
    ],
)
def test_what_cannot_be(file, settings, words):
    with pytest.raises(InvalidArgument, match=words):
        load(file(**settings))


def test_a_proxy_comes_from_one_place(file):
    with pytest.raises(InvalidArgument, match="specified both as a flag and in the configuration file: http_proxy"):
        load([*file(proxies={"http-proxy": "http://a"}), "--http-proxy", "http://b"])
