"""Login, logout, search, pull, push and commit do what docker's do: same words, same requests, same config.json."""

from __future__ import annotations

import base64
import json
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from cli.answering import Answering
from support.terminal import Terminal

DOCKER = shutil.which("docker") or ""
WHERRY = f"{sys.executable} -m wherry.cli"
pytestmark = pytest.mark.skipif(not DOCKER, reason="NO docker CLI: cannot compare what it sends")

HELPER = """#!/bin/sh
read -r given
echo "$1 $given" >> "$0.log"
case "$1 $given" in
"get none.io") echo "credentials not found in native keychain"; exit 1 ;;
"get token.io") echo '{"ServerURL":"token.io","Username":"<token>","Secret":"T"}' ;;
"get broken.io" | *broken.io*) echo boom; exit 2 ;;
"get junk.io") echo junk ;;
get*) echo '{"ServerURL":"'"$given"'","Username":"hu","Secret":"hp"}' ;;
esac
"""
FOUND = [
    {"star_count": 3, "is_official": False, "name": "u/a", "description": "two\nlines " + "x" * 60},
    {"star_count": 30, "is_official": True, "name": "b", "description": "b"},
]
PUSHED = [
    {"status": "The push refers to repository [x]"},
    {"status": "Preparing", "progressDetail": {}, "id": "abc"},
    {"status": "Pushing", "progressDetail": {"current": 5, "total": 9}, "id": "abc"},
    {"status": "1: digest: sha256:aaa size: 528"},
    {"progressDetail": {}, "aux": {"Tag": "1", "Digest": "sha256:aaa", "Size": 528}},
]
INSTEAD = {
    "manifestPushedInsteadOfIndex": True,
    "originalIndex": {"digest": f"sha256:{'a' * 64}"},
    "selectedManifest": {"digest": f"sha256:{'b' * 64}"},
}
ERROR = {"errorDetail": {"message": "denied: no"}, "error": "denied: no"}


def stream(*messages: object) -> bytes:
    return b"".join(json.dumps(message).encode() + b"\r\n" for message in messages)


def login_answer(body: dict[str, str]) -> tuple[int, object]:
    password = body.get("password")
    if password == "bad":
        return 401, {"message": 'Get "https://x/v2/": unauthorized: nope'}
    if password == "broken":
        return 500, {"message": "something broke"}
    return 200, {"Status": "Login Succeeded", "IdentityToken": "tok" if password == "tok" else ""}


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Answering]:
    daemon = Answering(tmp_path_factory.mktemp("answering") / "s")
    daemon.answers = {
        "/auth": login_answer,
        "/images/search": (200, FOUND),
        "/commit": (201, {"Id": f"sha256:{'9' * 64}"}),
        "/notes/push": (200, stream(*PUSHED, {"progressDetail": {}, "aux": INSTEAD})),
        "/denied/push": (200, stream(*PUSHED[:2], ERROR)),
        "/push": (200, stream(*PUSHED)),
        "/images/create": (200, stream({"status": "Pulling from library/x", "id": "1"}, {"status": "Status: done"})),
    }
    yield daemon
    daemon.close()


@dataclass
class Done:
    code: int
    out: str
    err: str
    requests: list[tuple[str, str, object]]
    auths: list[str]
    config: object
    helper: str


class Bench:
    """Runs a command line in a home of its own, against the daemon that answers."""

    def __init__(self, daemon: Answering, place: Path) -> None:
        self.daemon = daemon
        self.place = place

    def env(self, home: Path) -> dict[str, str]:
        env = {"PATH": f"{home}/bin:{os.environ['PATH']}", "HOME": str(home), "COLUMNS": "80"}
        return env | {"DOCKER_CONFIG": str(home), "DOCKER_HOST": self.daemon.host}

    def fresh(self, config: object) -> Path:
        """A home with a helper program and this config.json."""
        home = self.place / "home"
        shutil.rmtree(home, ignore_errors=True)
        (home / "bin").mkdir(parents=True)
        helper = home / "bin/docker-credential-keeper"
        helper.write_text(HELPER)
        helper.chmod(0o755)
        if config is not None:
            (home / "config.json").write_text(json.dumps(config))
        return home

    def run(self, program: str, line: str, config: object, stdin: str = "") -> Done:
        home = self.fresh(config)
        self.daemon.requests.clear()
        self.daemon.headers.clear()
        done = subprocess.run(
            f"{program} {line}",
            shell=True,
            capture_output=True,
            text=True,
            input=stdin,
            env=self.env(home),
            check=False,
            timeout=30,
        )
        written, log = home / "config.json", home / "bin/docker-credential-keeper.log"
        return Done(
            done.returncode,
            done.stdout,
            done.stderr,
            [
                (method, target.replace("+", "%20"), json.loads(body) if body else None)
                for method, target, body in self.daemon.requests
            ],
            [one["x-registry-auth"] for one in self.daemon.headers if "x-registry-auth" in one],
            json.loads(written.read_text()) if written.exists() else None,
            log.read_text() if log.exists() else "",
        )


@pytest.fixture
def bench(daemon: Answering, tmp_path: Path) -> Bench:
    return Bench(daemon, tmp_path)


def words(text: str) -> str:
    """Docker's words as ours: the program's name is another, addresses are not."""
    text = text.replace("docker.com", "COM").replace("docker.io", "IO").replace("docker-credential", "CRED")
    return text.replace("docker", "wherry").replace("\nSRun", "\nRun")


def entries(config: Any) -> Any:
    """config.json with every name and password as ``auth``, as docker writes them when it touches the file."""
    if not config:
        return config
    auths = {name: dict(entry) for name, entry in config.get("auths", {}).items()}
    for entry in auths.values():
        if "username" in entry:
            entry.update(pair(entry.pop("username"), entry.pop("password")))
    return {**config, "auths": auths}


def pair(user: str, password: str) -> dict[str, str]:
    return {"auth": base64.b64encode(f"{user}:{password}".encode()).decode()}


KNOWN = {"auths": {"one.io": pair("u", "p"), "bad.io": pair("u", "bad"), "broken.io": pair("u", "broken")}}
KEPT = {"credsStore": "keeper", "credHelpers": {"gone.io": "gone"}, "auths": {"one.io": pair("u", "p")}}
OLD = {
    "auths": {
        "https://old.io/v1/": pair("u", "p"),
        "token.io": {**pair("a", "b:c"), "identitytoken": "it", "registrytoken": "rt", "email": "e"},
        "plain.io": {"username": "u", "password": "p"},
        "empty.io": {},
        "https://index.docker.io/v1/": pair("hub", "h"),
    }
}
REGISTRY_LINES: list[tuple[str, object, str]] = [
    ("login -u a -p b localhost:5000", None, ""),
    ("login -u a -p b", None, ""),
    ("login -u a -p b docker.io", None, ""),
    ("login -u a -p tok https://ex.com/v1/", KNOWN, ""),
    ("login -u a --password-stdin localhost:5000", None, "secret\n"),
    ("login -u a --password-stdin localhost:5000", None, "secret\r\n"),
    ("login -u a --password-stdin localhost:5000", None, ""),
    ("login -u a -p bad localhost:5000", KNOWN, ""),
    ("login -u a -p broken localhost:5000", None, ""),
    ("login one.io", KNOWN, ""),
    ("login bad.io", KNOWN, ""),
    ("login broken.io", KNOWN, ""),
    ("login -u zz one.io", KNOWN, ""),
    ("login", None, ""),
    ("login -p x", None, ""),
    ("login --password-stdin", None, ""),
    ("login -u ''", None, ""),
    ("login -u a -p ''", None, ""),
    ("login -u a -p x --password-stdin", None, ""),
    ("login a b", None, ""),
    ("login -u a -p b none.io", KEPT, ""),
    ("login -u a -p tok one.io", KEPT, ""),
    ("login -u a -p b broken.io", KEPT, ""),
    ("login -u a -p b gone.io", KEPT, ""),
    ("login some.io", KEPT, ""),
    ("login none.io", KEPT, ""),
    ("login junk.io", KEPT, ""),
    ("login gone.io", KEPT, ""),
    ("logout one.io", KNOWN, ""),
    ("logout nowhere.io", KNOWN, ""),
    ("logout", OLD, ""),
    ("logout docker.io", OLD, ""),
    ("logout https://one.io/v2/", KNOWN, ""),
    ("logout one.io", KEPT, ""),
    ("logout broken.io", KEPT, ""),
    ("logout gone.io", KEPT, ""),
    ("logout a b", None, ""),
    ("search x", OLD, ""),
    ("search one.io/x", KNOWN, ""),
    ("search --no-trunc --limit 3 --filter stars=3 x", None, ""),
    ("search --filter is-automated=true x", None, ""),
    ("search --format json x", None, ""),
    ("search --format '{{.Name}} {{.IsOfficial}} {{.StarCount}}' x", None, ""),
    ("search --format 'table {{.Name}}\\t{{.Description}}' x", None, ""),
    ("search --format '{{.IsAutomated}}' x", None, ""),
    ("search -f bad x", None, ""),
    ("search", None, ""),
    ("pull x", OLD, ""),
    ("pull one.io/x", KNOWN, ""),
    ("pull -q one.io/x:2", KEPT, ""),
    ("pull -a token.io/x", KEPT, ""),
    ("pull --platform linux/arm64 none.io/x", KEPT, ""),
    ("pull junk.io/x", KEPT, ""),
    ("pull gone.io/x", KEPT, ""),
    ("pull old.io/x", OLD, ""),
    ("pull token.io/x", OLD, ""),
    ("pull plain.io/x", OLD, ""),
    ("pull empty.io/x", OLD, ""),
    ("pull -a x:1", None, ""),
    (f"pull x@sha256:{'a' * 64}", None, ""),
    ("push one.io/x", KNOWN, ""),
    ("push -a one.io/x", KNOWN, ""),
    ("push -a one.io/x:1", KNOWN, ""),
    ("push -q x:1", OLD, ""),
    ("push --platform linux/arm64/v8 one.io/x:1", KNOWN, ""),
    ("push --platform foo one.io/x:1", KNOWN, ""),
    ("push one.io/notes:1", KNOWN, ""),
    ("push one.io/denied:1", KNOWN, ""),
    ("push UP", None, ""),
    (f"push x@sha256:{'a' * 64}", None, ""),
    ("push", None, ""),
    ("commit cont", None, ""),
    ("commit -a me -m msg -c 'CMD x' -c 'ENV a=b' -p=false cont one.io/repo:1", None, ""),
    ("commit cont UP", None, ""),
    (f"commit cont r@sha256:{'a' * 64}", None, ""),
    ("commit", None, ""),
    ("create --pull always one.io/x", KNOWN, ""),
    ("create --platform linux/aarch64 x", None, ""),
    ("create --platform foo x", None, ""),
    ("image inspect --platform foo x", None, ""),
    ("image rm --platform foo x", None, ""),
    ("history --platform foo x", None, ""),
    ("save --platform linux/ x", None, ""),
    ("load --platform a/b/c/d", None, ""),
]


@pytest.mark.parametrize(
    ("line", "config", "stdin"), REGISTRY_LINES, ids=lambda value: value if isinstance(value, str) else ""
)
def test_does_what_docker_does(line: str, config: Any, stdin: str, bench: Bench) -> None:
    theirs = bench.run(DOCKER, line, config, stdin)
    ours = bench.run(WHERRY, line, config, stdin)
    assert (ours.code, words(ours.out), words(ours.err)) == (theirs.code, words(theirs.out), words(theirs.err))
    assert (ours.requests, ours.auths) == (theirs.requests, theirs.auths)
    assert entries(ours.config) == entries(theirs.config)
    assert ours.helper == theirs.helper.replace("\\u003c", "<").replace("\\u003e", ">")


TALKS: list[tuple[str, object, list[tuple[str, str]]]] = [
    ("login localhost:5000", None, [("Username: ", "bob\r"), ("Password: ", "secret\r")]),
    ("login -u bob localhost:5000", None, [("Password: ", "secret\r")]),
    ("login localhost:5000", None, [("Username: ", "\r")]),
    ("login localhost:5000", None, [("Username: ", "bob\r"), ("Password: ", "\r")]),
    ("login localhost:5000", None, [("Username: ", "bob\r"), ("Password: ", "bad\r")]),
    ("login bad.io", KNOWN, [("Username (u): ", "\r"), ("Password: ", "secret\r")]),
    ("login one.io", KNOWN, []),
]


@pytest.mark.parametrize(("line", "config", "talk"), TALKS)
def test_asks_as_docker_asks(line: str, config: Any, talk: list[tuple[str, str]], bench: Bench) -> None:
    """At a terminal: the same questions, the password not shown, the same end."""
    screens = []
    for program in (DOCKER, WHERRY):
        home = bench.fresh(config)
        terminal = Terminal([*program.split(), *line.split()], bench.env(home), columns=120)
        with terminal:
            said = ""
            for question, typed in talk:
                said += terminal.expect(question) + question
                terminal.type(typed)
            said += terminal.rest()
            code = terminal.wait()
        saved = home / "config.json"
        screens.append((code, words(said), json.loads(saved.read_text()) if saved.exists() else None))
    assert screens[1] == screens[0]
    assert "secret" not in screens[1][1]


def test_what_we_do_not_know_in_config_json_stays(bench: Bench) -> None:
    """Docker drops members that it does not know; they are somebody's, so here they stay."""
    config = {"unknown": {"b": 1, "a": ["<x>"]}, "auths": {"one.io": {**pair("u", "p"), "mine": 1}}}
    done = bench.run(WHERRY, "login -u a -p b two.io", config)
    assert done.code == 0
    auths = {"one.io": {**pair("u", "p"), "mine": 1}, "two.io": pair("a", "b")}
    assert done.config == {"unknown": config["unknown"], "auths": auths}


def test_config_json_is_its_owners_alone_and_written_whole(bench: Bench) -> None:
    """A new file is 0600 and no draft stays; a link stays a link, a mode that the user gave stays."""
    assert bench.run(WHERRY, "login -u a -p b two.io", None).code == 0
    home = bench.place / "home"
    written = home / "config.json"
    assert stat.S_IMODE(written.stat().st_mode) == 0o600
    assert sorted(path.name for path in home.iterdir()) == ["bin", "config.json"]
    target = bench.place / "elsewhere.json"
    written.rename(target)
    target.chmod(0o640)
    written.symlink_to(target)
    env = {**os.environ, "DOCKER_CONFIG": str(home), "DOCKER_HOST": bench.daemon.host}
    subprocess.run(f"{WHERRY} logout two.io", shell=True, env=env, capture_output=True, check=True)
    assert written.is_symlink()
    assert json.loads(target.read_text()) == {"auths": {}}
    assert stat.S_IMODE(target.stat().st_mode) == 0o640
