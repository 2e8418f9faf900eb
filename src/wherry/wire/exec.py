"""Exec instances as the Engine API writes them."""

from __future__ import annotations

import msgspec

from wherry.wire.base import Wire
from wherry.wire.fields import always, null


class ExecCreate(Wire, frozen=True, kw_only=True):
    """``POST /containers/{id}/exec``. ``console_size`` is (height, width)."""

    user: str = ""
    privileged: bool = False
    tty: bool = False
    console_size: tuple[int, int] | None = None
    attach_stdin: bool = False
    attach_stderr: bool = False
    attach_stdout: bool = False
    detach: bool = False
    detach_keys: str = ""
    env: list[str] | None = None
    working_dir: str = ""
    cmd: list[str] | None = None


class ExecStart(Wire, frozen=True, kw_only=True):
    """``POST /exec/{id}/start``."""

    detach: bool = False
    tty: bool = False
    console_size: tuple[int, int] | None = None


class ProcessConfig(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The command of an exec, in the lower-case names that the API uses for it."""

    tty: bool = always(bool)
    entrypoint: str = always(str)
    arguments: list[str] | None = always(null)
    privileged: bool | None = None
    user: str = ""


class ExecInspect(Wire, frozen=True, kw_only=True):
    """``GET /exec/{id}/json``. ``exit_code`` is null while it runs; ``detach_keys`` is base64."""

    id: str = msgspec.field(name="ID")
    running: bool
    exit_code: int | None
    process_config: ProcessConfig
    open_stdin: bool
    open_stderr: bool
    open_stdout: bool
    can_remove: bool = False
    container_id: str = msgspec.field(name="ContainerID")
    detach_keys: str = ""
    pid: int = 0
