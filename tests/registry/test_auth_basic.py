"""htpasswd: names and passwords as `htpasswd -B` writes them."""

from __future__ import annotations

import base64
import os
import stat
from pathlib import Path

import bcrypt
import pytest

from registry.requests import request
from wherry.lib.errors import InvalidArgument
from wherry.registry.auth_basic import BasicAuthorizer
from wherry.registry.auth_select import make_authorizer
from wherry.registry.errors import AccessRefused, NotServing
from wherry.registry.hooks import Authorizer


def _line(name: str, password: str) -> str:
    return f"{name}:{bcrypt.hashpw(password.encode()[:72], bcrypt.gensalt(4)).decode().replace('$2b$', '$2y$')}\n"


def _basic(name: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "htpasswd"
    path.write_text(f"# people\n\n{_line('alice', 'sesame')}{_line('bob', 'p:ä' + 'x' * 100)}carol:{{SHA}}abcdef\n")
    return path


@pytest.fixture
def authorizer(file: Path) -> BasicAuthorizer:
    return BasicAuthorizer.from_options({"realm": 'the "realm"', "path": str(file)})


def _refused(authorizer: Authorizer, **headers: str) -> AccessRefused:
    with pytest.raises(AccessRefused) as refusal:
        authorizer.authorize(request(**headers), ())
    return refusal.value


def test_the_right_password(authorizer: BasicAuthorizer) -> None:
    """It is let in under its name, the second time as the first; colons and long passwords are no trouble."""
    for _ in range(2):
        assert authorizer.authorize(request(authorization=_basic("alice", "sesame")), ()) == "alice"
    assert authorizer.authorize(request(authorization=_basic("bob", "p:ä" + "x" * 100)), ()) == "bob"


@pytest.mark.parametrize(
    "header",
    [
        "",
        _basic("alice", "open"),
        _basic("nobody", "sesame"),
        _basic("carol", "anything"),
        _basic("alice", "a\0b"),
        "Bearer abc",
        "Basic !!!",
        "Basic " + base64.b64encode(b"alice").decode(),
    ],
)
def test_anything_else(authorizer: BasicAuthorizer, header: str) -> None:
    """401 with the realm in the challenge."""
    refusal = _refused(authorizer, authorization=header)
    assert refusal.status == 401
    assert refusal.headers["WWW-Authenticate"] == 'Basic realm="the \\"realm\\""'


def test_the_file_changes(authorizer: BasicAuthorizer, file: Path) -> None:
    """A new password counts at once and the old one no more; a broken file lets nobody in."""
    authorizer.authorize(request(authorization=_basic("alice", "sesame")), ())
    file.write_text(_line("alice", "new password"))
    _refused(authorizer, authorization=_basic("alice", "sesame"))
    assert authorizer.authorize(request(authorization=_basic("alice", "new password")), ()) == "alice"
    file.unlink()
    with pytest.raises(NotServing):
        authorizer.authorize(request(authorization=_basic("alice", "new password")), ())


def test_a_missing_file_is_made(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """With one user whose password the log tells, as Docker's registry does; only its owner reads it."""
    path = tmp_path / "auth" / "htpasswd"
    authorizer = make_authorizer({"htpasswd": {"realm": "r", "path": str(path)}})
    assert authorizer is not None
    password = caplog.messages[0].rpartition("password=")[2]
    assert authorizer.authorize(request(authorization=_basic("docker", password)), ()) == "docker"
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600


def test_settings_that_make_no_sense(tmp_path: Path) -> None:
    """Each is refused when the registry starts."""
    bad = tmp_path / "bad"
    bad.write_text("no colon here\n")
    for auth, words in (
        ({"htpasswd": {"path": "/x"}}, '"realm" must be set'),
        ({"htpasswd": {"realm": "r"}}, '"path" must be set'),
        ({"htpasswd": {"realm": "r", "path": str(bad)}}, "invalid entry at line 1"),
        ({"silly": {}}, r"unable to configure authorization \(silly\)"),
        ({"htpasswd": {}, "token": {}}, "exactly one"),
    ):
        with pytest.raises(InvalidArgument, match=words):
            make_authorizer(auth)
    assert make_authorizer({}) is None
