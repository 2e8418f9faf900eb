"""An independent S3 server to test against: moto, where ``tools/moto`` has put it or $WHERRY_MOTO_SERVER says."""

from __future__ import annotations

import contextlib
import http.client
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

PLACE = Path(__file__).parents[2] / ".cache/moto/bin/moto_server"
BUCKET = "wherry"


@contextlib.contextmanager
def s3_server() -> Iterator[dict[str, object]]:
    """The options of ``storage.s3`` that reach an empty bucket."""
    program = os.environ.get("WHERRY_MOTO_SERVER") or (PLACE if PLACE.exists() else shutil.which("moto_server"))
    if program is None:
        pytest.skip("no S3 server to test against: tools/moto installs one")
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    with tempfile.TemporaryFile() as log:
        server = subprocess.Popen([program, "-H", "127.0.0.1", "-p", str(port)], stdout=log, stderr=log, cwd="/")
        try:
            _await(port, server, log)
            _ask(port, "PUT", f"/{BUCKET}")
            yield {
                "regionendpoint": f"http://127.0.0.1:{port}",
                "region": "us-east-1",
                "bucket": BUCKET,
                "accesskey": "test",
                "secretkey": "test",
                "rootdirectory": "/some/where",
            }
        finally:
            server.kill()
            server.wait()


def _await(port: int, server: subprocess.Popen[bytes], log: object) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            return _ask(port, "GET", "/")
        except OSError:
            if server.poll() is not None or time.monotonic() > deadline:
                log.seek(0)
                pytest.fail(f"the S3 server did not start: {log.read().decode(errors='replace')[-2000:]}")
            time.sleep(0.1)


def _ask(port: int, method: str, path: str) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request(
            method, path, headers={"Authorization": "AWS4-HMAC-SHA256 Credential=test/20200101/us-east-1/s3/x"}
        )
        assert connection.getresponse().status == 200
    finally:
        connection.close()
