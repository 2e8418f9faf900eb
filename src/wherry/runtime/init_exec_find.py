"""What execve(2) is called with: the file, found by Go's rules (os/exec, LookPath), and the environment."""

from __future__ import annotations

import errno
import os
import stat

from wherry.linux.syscalls import encode
from wherry.runtime.init_errors import NoProgram, StartError, from_errno


def find_program(name: str, environment: list[str]) -> bytes:
    """The file to execute: ``name`` itself if it has a slash, else the first match on the environment's PATH.

    A relative name is looked for from the working directory; a match that is relative because PATH is, is refused.
    Raises NoProgram in Go's words.
    """
    if "/" in name:
        _check_executable(name, f'exec: "{name}"')
        return encode(name)
    path = next((entry[5:] for entry in reversed(environment) if entry.startswith("PATH=")), "")
    for directory in path.split(":") if path else ():
        candidate = f"{directory or '.'}/{name}"
        try:
            _check_executable(candidate, "")
        except NoProgram:
            continue
        if not candidate.startswith("/"):
            raise NoProgram(f'exec: "{name}": cannot run executable found relative to current directory')
        return encode(candidate)
    raise NoProgram(f'exec: "{name}": executable file not found in $PATH', code=127)


def read_environment(entries: list[str]) -> dict[bytes, bytes]:
    """The variables; of several with one name the last counts, at the place of the first. Raises StartError."""
    variables = {}
    for entry in entries:
        name, separator, value = entry.partition("=")
        if not separator:
            raise StartError(f"invalid environment variable: {_quote(entry)}")
        if not name:
            raise StartError(f"environment variable name can't be empty: {_quote(entry)}")
        if "\0" in entry:
            part = "name" if "\0" in name else "value"
            raise StartError(f"environment variable {part} can't contain null(\\x00): {_quote(entry)}")
        variables[encode(name)] = encode(value)
    return variables


def with_home(environment: list[str], home: str) -> list[str]:
    """The environment with HOME, ``home`` if it has none or an empty one."""
    if any(entry.startswith("HOME=") and len(entry) > 5 for entry in environment):
        return environment
    return [*(entry for entry in environment if not entry.startswith("HOME=")), f"HOME={home}"]


def read_arguments(arguments: list[str]) -> list[bytes]:
    """The argument vector. Raises NoProgram for what no vector can hold."""
    for argument in arguments:
        if "\0" in argument:
            raise from_errno(f"exec {_quote(argument)}", errno.EINVAL, NoProgram)
    return [encode(argument) for argument in arguments]


def _check_executable(path: str, text: str) -> None:
    try:
        mode = os.stat(path).st_mode
    except ValueError:  # a null byte
        raise NoProgram(f"{text}: stat {_quote(path)[1:-1]}: invalid argument") from None
    except OSError as error:
        raise from_errno(f"{text}: stat {path}", error.errno, NoProgram) from error
    if stat.S_ISDIR(mode):
        raise from_errno(text, errno.EISDIR, NoProgram)
    if not mode & 0o111:
        raise from_errno(text, errno.EACCES, NoProgram)


def _quote(text: str) -> str:
    """As Go's %q shows it, as far as it occurs here."""
    return '"{}"'.format(text.replace("\\", "\\\\").replace('"', '\\"').replace("\0", "\\x00"))
