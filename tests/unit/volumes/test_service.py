"""Volumes as users see them: Docker's words, and no crash that loses or invents one."""

from __future__ import annotations

import asyncio
import os
from contextlib import asynccontextmanager

import pytest

from wherry.engine.volumes import Volumes
from wherry.lib.errors import Conflict, Internal, InvalidArgument, NotBuilt, NotFound
from wherry.lib.filters import Filters
from wherry.state.database import Database
from wherry.state.schema import MIGRATIONS
from wherry.volumes.drivers.local import LocalDriver, mount_options


class Recorder:
    def __init__(self):
        self.events = []

    def emit(self, type, action, actor, attributes):  # noqa: A002
        assert type == "volume"
        self.events.append((action, actor, dict(attributes)))


@asynccontextmanager
async def opened(path):
    database = Database(path / "state.db", MIGRATIONS)
    volumes = Volumes(database, path / "volumes", Recorder())
    try:
        await volumes.recover()
        yield volumes
    finally:
        database.close()


def scenario(path):
    """Run the coroutine function with fresh volumes."""

    def run(function):
        async def inner():
            async with opened(path) as volumes:
                return await function(volumes)

        return asyncio.run(inner())

    return run


def names(listing):
    return [volume.name for volume in listing.volumes]


def test_named_volume(tmp_path):
    """Created once, told once, and the same when created again."""

    @scenario(tmp_path)
    async def _(volumes):
        volume = await volumes.create("data", labels={"a": "b"})
        assert volume.mountpoint == str(tmp_path / "volumes/data/_data")
        assert (volume.driver, volume.scope, volume.labels, volume.options) == ("local", "local", {"a": "b"}, None)
        assert await volumes.create("data", labels={"c": "d"}) == volume
        assert volumes.get("data") == volume
        assert volumes._events.events == [("create", "data", {"driver": "local"})]
        assert (tmp_path / "volumes").stat().st_mode & 0o7777 == 0o701
        assert (tmp_path / "volumes/data/_data").stat().st_mode & 0o7777 == 0o755


def test_anonymous_volume(tmp_path):
    """Without a name it gets 64 hexadecimal digits and a label."""

    @scenario(tmp_path)
    async def _(volumes):
        volume = await volumes.create(user="c1")
        assert len(volume.name) == 64
        assert volume.labels == {"com.docker.volume.anonymous": ""}
        assert volumes.users(volume.name) == ["c1"]


BAD_NAME = (
    'create {0}: "{0}" includes invalid characters for a local volume name, only "[a-zA-Z0-9][a-zA-Z0-9_.-]" are '
    "allowed. If you intended to pass a host directory, use absolute path"
)


@pytest.mark.parametrize(
    ("arguments", "kind", "words"),
    [
        ({"name": "x/y"}, InvalidArgument, BAD_NAME.format("x/y")),
        ({"name": ".a"}, InvalidArgument, BAD_NAME.format(".a")),
        ({"name": ".."}, InvalidArgument, BAD_NAME.format("..")),
        ({"name": "a\n"}, InvalidArgument, BAD_NAME.format("a\n")),
        (
            {"name": "a"},
            InvalidArgument,
            "create a: volume name is too short, names should be at least two alphanumeric characters",
        ),
        (
            {"name": "bar", "driver": "foo"},
            NotFound,
            'create bar: error looking up volume plugin foo: plugin "foo" not found',
        ),
        ({"name": "bar", "options": {"foo": "x"}}, InvalidArgument, 'create bar: invalid option: "foo"'),
        (
            {"name": "bar", "options": {"type": "tmpfs"}},
            InvalidArgument,
            'create bar: missing required option: "device"',
        ),
        (
            {"name": "bar", "options": {"size": "1m"}},
            InvalidArgument,
            "create bar: quota size requested but no quota support",
        ),
        (
            {"name": "bar", "options": {"type": "nfs", "device": ":/x"}},
            NotBuilt,
            "create bar: volumes of type nfs are not built yet",
        ),
    ],
)
def test_refused(tmp_path, arguments, kind, words):
    """What cannot be made says why, and leaves nothing behind."""

    @scenario(tmp_path)
    async def _(volumes):
        with pytest.raises(kind) as error:
            await volumes.create(**arguments)
        assert error.value.message == words
        assert not (tmp_path / "volumes").exists()
        assert names(volumes.list_volumes()) == []


def test_remove(tmp_path):
    """In use it stays; released it goes, data and all; missing it is not found unless forced."""

    @scenario(tmp_path)
    async def _(volumes):
        await volumes.create("data", user="c1")
        volumes.acquire("data", "c2")
        with pytest.raises(Conflict, match=r"^remove data: volume is in use - \[c1, c2\]$"):
            await volumes.remove("data", force=True)
        assert volumes.release("c1") == ["data"]
        assert volumes.release("c2") == ["data"]
        await volumes.remove("data")
        assert os.listdir(tmp_path / "volumes") == []
        for call in (volumes.get, lambda name: volumes.acquire(name, "c3")):
            with pytest.raises(NotFound, match=r"^get data: no such volume$"):
                call("data")
        with pytest.raises(NotFound, match=r"^get data: no such volume$"):
            await volumes.remove("data")
        await volumes.remove("data", force=True)
        assert [event[0] for event in volumes._events.events] == ["create", "destroy"]


def test_list_filters(tmp_path):
    """dangling, driver, label and name select; any other filter is refused."""

    @scenario(tmp_path)
    async def _(volumes):
        await volumes.create("web-data", labels={"tier": "front"}, user="c1")
        await volumes.create("db-data", labels={"tier": "back"})

        def listed(**terms):
            return names(volumes.list_volumes(Filters({name: tuple(values) for name, values in terms.items()})))

        assert listed() == ["db-data", "web-data"]
        assert listed(dangling=["true"]) == ["db-data"]
        assert listed(dangling=["0"]) == ["web-data"]
        assert listed(name=["web"]) == ["web-data"]
        assert listed(name=["^db", "("]) == ["db-data"]
        assert listed(label=["tier=back"]) == ["db-data"]
        assert listed(label=["tier", "nope"]) == []
        assert listed(driver=["local"]) == ["db-data", "web-data"]
        assert listed(driver=["nfs"]) == []
        with pytest.raises(InvalidArgument, match="invalid filter 'foo'"):
            listed(foo=["x"])


def test_prune(tmp_path):
    """Anonymous and unused by default; all=true takes named ones; label! keeps."""

    @scenario(tmp_path)
    async def _(volumes):
        anonymous = (await volumes.create()).name
        used = (await volumes.create(user="c1")).name
        await volumes.create("named")
        await volumes.create("kept", labels={"keep": "1"})
        await volumes.create("elsewhere", options={"type": "tmpfs", "device": "tmpfs"})
        (tmp_path / "volumes" / anonymous / "_data" / "file").write_bytes(b"x" * 1000)
        report = await volumes.prune()
        assert (report.volumes_deleted, report.space_reclaimed) == ([anonymous], 1000)
        report = await volumes.prune(Filters({"all": ("true",), "label!": ("keep",)}))
        assert report.volumes_deleted == ["named"]
        assert set(names(volumes.list_volumes())) == {used, "kept", "elsewhere"}
        assert volumes._events.events[-1] == ("prune", "", {"reclaimed": "0"})
        with pytest.raises(InvalidArgument, match="invalid filter 'until'"):
            await volumes.prune(Filters({"until": ("1h",)}))


def test_usage(tmp_path):
    """``docker system df`` knows size and users; volumes with options are not counted."""

    @scenario(tmp_path)
    async def _(volumes):
        await volumes.create("data", user="c1")
        await volumes.create("tmp", options={"type": "tmpfs", "device": "tmpfs"})
        (tmp_path / "volumes/data/_data/file").write_bytes(b"x" * 10)
        (volume,) = await volumes.usage()
        assert (volume.name, volume.usage_data.size, volume.usage_data.ref_count) == ("data", 10, 1)


def test_mount_events(tmp_path):
    """Starting and ending a container is told with dockerd's attributes."""

    @scenario(tmp_path)
    async def _(volumes):
        await volumes.create("data", user="c1")
        assert await volumes.mount("data", "c1", destination="/x") == tmp_path / "volumes/data/_data"
        await volumes.unmount("data", "c1")
        assert volumes._events.events[1:] == [
            (
                "mount",
                "data",
                {"container": "c1", "destination": "/x", "driver": "local", "propagation": "", "read/write": "true"},
            ),
            ("unmount", "data", {"container": "c1", "driver": "local"}),
        ]


@pytest.mark.root
def test_mounted_volume(tmp_path):
    """A volume with options is mounted by the first container, and unmounted after the last."""
    (tmp_path / "host").mkdir()
    (tmp_path / "host/file").touch()

    @scenario(tmp_path)
    async def _(volumes):
        await volumes.create("bound", options={"type": "none", "o": "bind", "device": str(tmp_path / "host")})
        driver = LocalDriver(tmp_path / "volumes")
        try:
            for container in ("c1", "c2"):
                assert os.listdir(await volumes.mount("bound", container, destination="/x")) == ["file"]
            await volumes.unmount("bound", "c1")
            assert driver.is_mounted("bound")
            await volumes.unmount("bound", "c2")
            assert not driver.is_mounted("bound")
            await volumes.mount("bound", "c1", destination="/x")
            volumes._mounted.clear()
            await volumes.unmount_unused()
            assert not driver.is_mounted("bound")
        finally:
            driver.unmount("bound")
        await volumes.remove("bound")
        assert os.listdir(tmp_path / "host") == ["file"]


@pytest.mark.root
def test_what_cannot_be_mounted(tmp_path):
    """The mount that failed is named, in dockerd's words."""

    @scenario(tmp_path)
    async def _(volumes):
        await volumes.create("bad", options={"type": "none", "o": "bind", "device": "/nope"})
        with pytest.raises(Internal, match=r"failed to mount local volume: mount /nope:.*, flags: 0x1000: no such"):
            await volumes.mount("bad", "c1", destination="/x")
        await volumes.remove("bad")


def test_mount_option_words():
    """Flags are flags, the rest is the file system's."""
    assert mount_options("ro,bind") == (0x1001, "")
    assert mount_options("size=1m,nosuid,uid=3,rw") == (2, "size=1m,uid=3")


def test_recovery_of_every_half_way(tmp_path):
    """Half made goes, half removed is finished, unknown data is kept, lost data is an empty volume again."""

    @scenario(tmp_path)
    async def _(volumes):
        for name in ("kept", "lost", "leaving"):
            await volumes.create(name)

    root = tmp_path / "volumes"
    (root / "half" / "_data").mkdir(parents=True)
    (root / "half2").mkdir()
    (root / "unknown" / "_data").mkdir(parents=True)
    (root / "unknown" / "_data" / "file").touch()
    (root / "lost+found").mkdir()
    (root / "foreign" / "things").mkdir(parents=True)
    LocalDriver(root).hide("leaving")
    (root / "lost" / "_data").rmdir()
    (root / "lost").rmdir()
    (root / "kept" / "_populating").mkdir()
    (root / "kept" / "_populating" / "part").touch()
    (root / "unknown" / "_populated").mkdir()
    (root / "unknown" / "_populated" / "rest").touch()

    @scenario(tmp_path)
    async def _(volumes):
        assert names(volumes.list_volumes()) == ["kept", "lost", "unknown"]
        assert sorted(os.listdir(root)) == ["foreign", "kept", "lost", "lost+found", "unknown"]
        assert os.listdir(root / "kept") == ["_data"]
        assert sorted(os.listdir(root / "unknown/_data")) == ["file", "rest"]
        assert os.listdir(root / "lost/_data") == []


def test_a_record_that_cannot_be_deleted_brings_the_data_back(tmp_path, monkeypatch):
    """Disk full in the middle of a removal: the volume is as before."""

    @scenario(tmp_path)
    async def _(volumes):
        await volumes.create("data")
        (tmp_path / "volumes/data/_data/file").touch()

        async def full(_name):
            raise Internal("database or disk is full")

        monkeypatch.setattr(volumes._table, "delete", full)
        with pytest.raises(Internal):
            await volumes.remove("data")
        assert os.listdir(volumes.path("data")) == ["file"]
        volumes.acquire("data", "c1")
