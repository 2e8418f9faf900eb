"""Registries that ask who one is: login, what is kept of it and where, and that pull and push are let in by it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import bcrypt
import pytest

from support.daemons import Daemon
from support.registries import Registry

WHERRY = [sys.executable, "-m", "wherry.cli"]
USER, PASSWORD = "ada", "lovelace"
HELPER = """#!/bin/sh
# A keeper of credentials: one file a registry, in the directory of this program.
read -r given
case "$1" in
store)
    server=$(echo "$given" | sed 's/.*"ServerURL":"\\([^"]*\\)".*/\\1/')
    echo "$given" > "$(dirname "$0")/kept-$(echo "$server" | tr ':/' '__')" ;;
get)
    kept="$(dirname "$0")/kept-$(echo "$given" | tr ':/' '__')"
    test -f "$kept" || { echo "credentials not found in native keychain"; exit 1; }
    cat "$kept" ;;
erase) rm -f "$(dirname "$0")/kept-$(echo "$given" | tr ':/' '__')" ;;
esac
"""


@pytest.fixture
def registry(daemon: Daemon, tmp_path: Path) -> Iterator[Registry]:
    """A registry that lets in one user."""
    users = tmp_path / "htpasswd"
    users.write_text(f"{USER}:{bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()}\n")
    settings = {"auth": {"htpasswd": {"realm": "here", "path": str(users)}}}
    with Registry(daemon.box, kind="docker", settings=settings) as registry:
        yield registry
    daemon.clear_images()


class User:
    """Someone with a docker directory of his own."""

    def __init__(self, daemon: Daemon, home: Path) -> None:
        self.home = home
        self._daemon = daemon
        (home / "bin").mkdir(parents=True)

    def keeper(self) -> None:
        """Install a credential helper and say so in config.json."""
        program = self.home / "bin/docker-credential-test"
        program.write_text(HELPER)
        program.chmod(0o755)
        (self.home / "config.json").write_text(json.dumps({"credsStore": "test"}))

    def config(self) -> dict[str, object]:
        return json.loads((self.home / "config.json").read_text())

    def run(self, program: str, *words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        argv = WHERRY if program == "wherry" else self._daemon.docker_argv()
        env = self._daemon.docker_env(DOCKER_CONFIG=str(self.home))
        env["PATH"] = f"{self.home}/bin:{env['PATH']}"
        return subprocess.run(
            [*argv, *words], input=stdin, capture_output=True, text=True, timeout=60, env=env, check=False
        )


@pytest.fixture
def user(daemon: Daemon, tmp_path: Path) -> Iterator[User]:
    home = tmp_path / "home"
    yield User(daemon, home)
    shutil.rmtree(home)


BOTH = pytest.mark.parametrize("program", ["docker", "wherry"])


@BOTH
def test_who_logs_in_may_push_and_pull(program: str, user: User, registry: Registry) -> None:
    """Before, and after logging out again, the registry refuses."""
    name = f"{registry.host}/mine:1"
    user.run(program, "tag", "busybox", name)
    refused = user.run(program, "push", name)
    assert refused.returncode == 1
    assert "no basic auth credentials" in refused.stderr
    wrong = user.run(program, "login", "-u", USER, "--password-stdin", registry.host, stdin="wrong\n")
    assert wrong.returncode == 1
    assert "failed with status: 401 Unauthorized" in wrong.stderr
    assert not (user.home / "config.json").exists()
    done = user.run(program, "login", "-u", USER, "--password-stdin", registry.host, stdin=f"{PASSWORD}\n")
    assert (done.returncode, done.stdout) == (0, "Login Succeeded\n")
    assert "stored unencrypted" in done.stderr
    assert user.run(program, "push", name).returncode == 0
    assert user.run(program, "rmi", name).returncode == 0
    assert user.run(program, "run", "--rm", name, "echo", "in").stdout == "in\n"
    again = user.run(program, "login", registry.host)
    assert "Authenticating with existing credentials" in again.stderr
    assert again.stdout == "Login Succeeded\n"
    assert user.run(program, "logout", registry.host).stdout == f"Removing login credentials for {registry.host}\n"
    assert user.config()["auths"] == {}
    out = user.run(program, "pull", f"{registry.host}/mine:other")
    assert out.returncode == 1
    assert "no basic auth credentials" in out.stderr


@BOTH
def test_a_helper_keeps_what_config_json_does_not(program: str, user: User, registry: Registry) -> None:
    """The password goes to the helper and nowhere else, and comes from there for a push."""
    user.keeper()
    done = user.run(program, "login", "-u", USER, "--password-stdin", registry.host, stdin=PASSWORD)
    assert (done.returncode, done.stdout, done.stderr) == (0, "Login Succeeded\n", "")
    assert user.config() == {"auths": {registry.host: {}}, "credsStore": "test"}
    (kept,) = (user.home / "bin").glob("kept-*")
    stored = {"ServerURL": registry.host, "Username": USER, "Secret": PASSWORD}
    assert json.loads(kept.read_text()) == stored
    name = f"{registry.host}/kept:1"
    user.run(program, "tag", "busybox", name)
    assert user.run(program, "push", "-q", name).returncode == 0
    assert user.run(program, "logout", registry.host).returncode == 0
    assert not list((user.home / "bin").glob("kept-*"))
    assert user.run(program, "push", "-q", name).returncode == 1


@pytest.mark.ours
def test_one_program_is_let_in_by_the_others_login(user: User, registry: Registry) -> None:
    """And ``wherry manifest`` is let in too."""
    name = f"{registry.host}/shared:1"
    user.run("docker", "tag", "busybox", name)
    assert user.run("wherry", "login", "-u", USER, "--password-stdin", registry.host, stdin=PASSWORD).returncode == 0
    assert user.run("docker", "push", "-q", name).returncode == 0
    assert user.run("wherry", "manifest", "create", f"{registry.host}/list:1", name).returncode == 0
    assert user.run("wherry", "manifest", "push", f"{registry.host}/list:1").returncode == 0
    assert user.run("docker", "logout", registry.host).returncode == 0
    refused = user.run("wherry", "manifest", "inspect", f"{registry.host}/list:2")
    assert refused.returncode == 1
