"""What the registry counts, by the names that Docker's registry gives where it has one, and ours where it has none."""

from __future__ import annotations

import contextlib
import os
import resource
import threading
import time
from collections.abc import Iterator

from wherry import __version__
from wherry.registry import layout
from wherry.registry.gc_sweep import Collected
from wherry.registry.hooks import Event
from wherry.registry.http.message import Request
from wherry.registry.metrics_text import Counter, Gauge, Histogram, Instrument, render
from wherry.registry.storage import Driver

HANDLERS = {"uploads": "blob_upload", "upload": "blob_upload_chunk", "": "none"}
"""Docker's names for the routes that it calls otherwise."""
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"})
COUNT_SECONDS = 300.0
"""How old the count of what the storage holds may be before a scrape begins a new one."""


class Metrics:
    """``hooks.Observer`` that counts; other parts of the registry count here too."""

    def __init__(self, driver: Driver | None = None) -> None:
        by_handler = ("handler", "method")
        self._requests = Counter("registry_http_requests_total", "Requests answered.", ("code", *by_handler))
        self._durations = Histogram(
            "registry_http_request_duration_seconds", "Seconds from head to last byte.", by_handler
        )
        self._sent = Counter("registry_http_response_size_bytes_total", "Bytes of answers' bodies.", by_handler)
        self._received = Counter("registry_http_request_size_bytes_total", "Bytes of requests' bodies.", by_handler)
        self._under_way = Gauge("registry_http_in_flight_requests", "Requests being answered.", ("handler",))
        self._events = Counter("registry_events_total", "Content pushed, pulled, mounted, deleted.", ("action", "kind"))
        self.notified = Counter(
            "registry_notifications_events_total", "Events by what became of them.", ("type", "endpoint")
        )
        self.notify_status = Counter(
            "registry_notifications_status_total", "Answers of endpoints.", ("code", "endpoint")
        )
        self.notify_pending = Gauge("registry_notifications_pending_total", "Events not sent yet.", ("endpoint",))
        self.proxy_requests = Counter("registry_proxy_requests_total", "Requests to the pull-through cache.", ("type",))
        self.proxy_hits = Counter("registry_proxy_hits_total", "Those that were answered from it.", ("type",))
        self.proxy_misses = Counter("registry_proxy_misses_total", "Those that upstream was asked for.", ("type",))
        self.proxy_pulled = Counter("registry_proxy_pulled_bytes_total", "Bytes that came from upstream.", ("type",))
        self._gc_runs = Counter("registry_gc_runs_total", "Garbage collections that ended.")
        self._gc_blobs = Counter("registry_gc_deleted_blobs_total", "Blobs that they deleted.")
        self._gc_manifests = Counter("registry_gc_deleted_manifests_total", "Manifests that they deleted.")
        self._gc_bytes = Counter("registry_gc_deleted_bytes_total", "Bytes that they freed.")
        self._held = None if driver is None else Held(driver)
        self._process = Process()

    def began(self, request: Request) -> None:
        """See Observer."""
        self._under_way.add(_handler(request))

    def happened(self, event: Event) -> None:
        """See Observer."""
        blob = event.media_type == "application/octet-stream" and not event.tag
        self._events.add(event.action, "blob" if blob else "manifest")

    def answered(self, request: Request, status: int, *, sent: int, received: int, seconds: float) -> None:
        """See Observer."""
        handler = _handler(request)
        method = request.method.lower() if request.method in METHODS else "other"
        self._under_way.add(handler, amount=-1)
        self._requests.add(str(status), handler, method)
        self._durations.observe(handler, method, value=seconds)
        self._sent.add(handler, method, amount=sent)
        self._received.add(handler, method, amount=received)

    def collected(self, outcome: Collected) -> None:
        """A garbage collection has ended."""
        self._gc_runs.add()
        self._gc_blobs.add(amount=outcome.blobs)
        self._gc_manifests.add(amount=outcome.manifests)
        self._gc_bytes.add(amount=outcome.bytes)

    def scrape(self) -> bytes:
        """All of it as text."""
        instruments: list[Instrument] = [one for one in vars(self).values() if hasattr(one, "lines")]
        return render(instruments)


class Held:
    """How much the storage holds: counted by a thread, since a scrape must not wait for it."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self._lock = threading.Lock()
        self._counting = False
        self._counted = float("-inf")
        self._bytes = Gauge("registry_storage_bytes", "Bytes of all blobs.")
        self._blobs = Gauge("registry_storage_blobs", "Blobs in the storage.")

    def lines(self) -> Iterator[str]:
        """See Instrument: the last count; a new one begins when that is old."""
        with self._lock:
            due = not self._counting and time.monotonic() - self._counted > COUNT_SECONDS
            self._counting = self._counting or due
        if due:
            threading.Thread(target=self.count, name="storage-count", daemon=True).start()
        yield from self._bytes.lines()
        yield from self._blobs.lines()

    def count(self) -> None:
        """Look at every blob."""
        total = blobs = 0
        try:
            for path, stat in self._driver.walk(layout.BLOBS):
                if path.endswith("/data"):
                    total, blobs = total + stat.size, blobs + 1
            self._bytes.set(value=total)
            self._blobs.set(value=blobs)
        finally:
            with self._lock:
                self._counting, self._counted = False, time.monotonic()


class Process:
    """What Prometheus' clients tell of their process."""

    def __init__(self) -> None:
        self._build = Gauge("registry_build_info", "Which program this is.", ("program", "version"))
        self._build.set("wherry-registry", __version__, value=1)
        self._start = Gauge("process_start_time_seconds", "Start of the process, in Unix seconds.")
        self._start.set(value=round(time.time(), 3))
        self._cpu = Gauge("process_cpu_seconds_total", "Processor time of the process, user and system.")
        self._memory = Gauge("process_resident_memory_bytes", "Resident memory of the process.")
        self._descriptors = Gauge("process_open_fds", "Open descriptors.")
        self._threads = Gauge("process_threads", "Threads of the process.")

    def lines(self) -> Iterator[str]:
        """See Instrument."""
        usage = resource.getrusage(resource.RUSAGE_SELF)
        self._cpu.set(value=round(usage.ru_utime + usage.ru_stime, 3))
        self._threads.set(value=threading.active_count())
        with contextlib.suppress(OSError, ValueError, IndexError):
            with open("/proc/self/statm", encoding="ascii") as file:
                self._memory.set(value=int(file.read().split()[1]) * resource.getpagesize())
            self._descriptors.set(value=len(os.listdir("/proc/self/fd")))
        for gauge in (self._build, self._start, self._cpu, self._memory, self._descriptors, self._threads):
            yield from gauge.lines()


def _handler(request: Request) -> str:
    return HANDLERS.get(request.route, request.route)
