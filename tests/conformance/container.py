"""One container through its life, whatever the runtime: every test's container is gone when the test is."""

from __future__ import annotations

import json
import os
import select
import subprocess
from pathlib import Path
from typing import IO, Any, Self

from conformance.bundle import Bundle
from conformance.runtime import TIMEOUT, Outcome, Runtime
from support.commands import eventually


class Container:
    """A container's id and bundle, and the commands on it. As a context manager it is removed at the end."""

    def __init__(self, runtime: Runtime, name: str, bundle: Bundle) -> None:
        self.runtime = runtime
        self.id = name
        self.bundle = bundle
        self._out = bundle.directory.with_suffix(".out")
        self._err = bundle.directory.with_suffix(".err")
        self._pid = bundle.directory.with_suffix(".pid")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.id in self.runtime.known():
            self.runtime("delete", "--force", self.id)

    # Commands.

    def run(self, *options: str, timeout: float = TIMEOUT, **further: Any) -> Outcome:
        """``run``: until the program has ended; the outcome holds the program's code and output."""
        return self._with_streams("run", *options, timeout=timeout, **further)

    def create(self, *options: str, **further: Any) -> Outcome:
        """``create``: the outcome holds what the runtime wrote; later output is in ``output``."""
        return self._with_streams("create", "--pid-file", str(self._pid), *options, **further)

    def made(self, *options: str, **further: Any) -> Self:
        """``create`` that has to succeed."""
        done = self.create(*options, **further)
        assert done.code == 0, f"create: {done.err or done.out}"
        return self

    def started(self) -> Self:
        """``start`` that has to succeed."""
        done = self.start()
        assert done.code == 0, f"start: {done.err or done.out}"
        return self

    def start(self) -> Outcome:
        return self.runtime("start", self.id)

    def kill(self, number: str | None = None) -> Outcome:
        return self.runtime("kill", self.id, *([number] if number else []))

    def delete(self, *options: str) -> Outcome:
        return self.runtime("delete", *options, self.id)

    def state(self) -> dict[str, Any]:
        """The state document; fails when there is none."""
        answer = self.runtime("state", self.id)
        assert answer.code == 0, f"state: {answer.err}"
        return json.loads(answer.out)

    @property
    def status(self) -> str:
        return self.state()["status"]

    @property
    def pid(self) -> int:
        """The container's first process, as create's ``--pid-file`` has it."""
        return int(self._pid.read_text())

    @property
    def output(self) -> str:
        """What the program has written on its standard output so far."""
        return self._out.read_text()

    @property
    def errors(self) -> str:
        """The same for standard error."""
        return self._err.read_text()

    def told(self, text: str, *, within: float = 10) -> str:
        """The output, once ``text`` is in it."""
        return eventually(f"{text!r} in the output", lambda: self.output if text in self.output else "", within=within)

    def ended(self, *, within: float = 10) -> Self:
        """Wait for the program's end."""
        try:
            handle = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return self
        try:
            ready, _, _ = select.select([handle], [], [], within)
        finally:
            os.close(handle)
        assert ready, f"{self.id} has not ended within {within} s"
        return self

    def stop(self) -> Self:
        """End the program by force, and wait for it."""
        self.kill("KILL")
        return self.ended()

    def _with_streams(
        self,
        command: str,
        *options: str,
        timeout: float = TIMEOUT,
        cwd: Path | None = None,
        bundle: str | None = None,
        stdin: IO[bytes] | int = subprocess.DEVNULL,
        pass_fds: tuple[int, ...] = (),
        umask: int = -1,
    ) -> Outcome:
        """Run a command whose streams the container keeps: they are files, so that nobody waits for their end."""
        words = self.runtime.argv(command, "--bundle", bundle or str(self.bundle.directory), *options, self.id)
        with self._out.open("wb") as out, self._err.open("wb") as err:
            code = subprocess.run(
                words,
                check=False,
                cwd=cwd,
                timeout=timeout,
                stdin=stdin,
                stdout=out,
                stderr=err,
                pass_fds=pass_fds,
                umask=umask,
            ).returncode
        return Outcome(code, self.output, self.errors)


def alive(pid: int) -> bool:
    """Whether a process runs; one that only waits to be reaped by its parent does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in {"Z", "X"}
    except OSError:
        return False
