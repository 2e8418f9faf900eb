"""Images as users know them: found by any name, listed by any filter, removed by Docker's rules."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest

from support.images import config_of, docker_archive, image_id, small_layer
from unit.transfer.archives import EMPTY, archive_of, chunks, leftovers, open_store
from wherry.engine.images import Images, ImageUser
from wherry.lib.errors import Conflict, InvalidArgument, NotFound, WherryError
from wherry.lib.filters import Filters
from wherry.state import image as image_state
from wherry.transfer.store import ImageStore

pytestmark = pytest.mark.root

ONE, TWO, THREE = small_layer(a="1"), small_layer(b="22"), small_layer(c="333")


@dataclass
class World:
    """Containers that use images, and events that were told."""

    users: dict[str, list[ImageUser]] = field(default_factory=dict)
    events: list[tuple[str, str, Mapping[str, str]]] = field(default_factory=list)

    def users_of(self, image_id: str) -> Sequence[ImageUser]:
        return self.users.get(image_id, [])

    def emit(self, type_: str, action: str, actor: str, attributes: Mapping[str, str]) -> None:
        assert type_ == "image"
        self.events.append((action, actor, attributes))


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[ImageStore]:
    async with open_store(tmp_path / "root") as store:
        yield store


@pytest.fixture
def images(store: ImageStore, world: World) -> Images:
    return Images(store, world, world)


async def load(images: Images, archive: bytes, *, quiet: bool = True) -> list[dict[str, Any]]:
    return [json.loads(line) async for line in images.load(chunks(archive), quiet=quiet)]


async def make(images: Images, tags: list[str], layers: list[bytes], created: str = "", **config: Any) -> str:
    document = config_of(layers, **config)
    document["created"] = created or document["created"]
    raw = json.dumps(document).encode()
    members = {f"l{number}": layer for number, layer in enumerate(layers)}
    item = {"Config": "c", "RepoTags": tags, "Layers": [*members]}
    await load(images, archive_of([item], c=raw, **members))
    return images.resolve(tags[0]).id if tags else ""


# --- load, save, import -----------------------------------------------------------------------------------------------


async def test_load_tells_what_dockerd_tells(images: Images, world: World) -> None:
    assert await load(images, docker_archive(["a:1", "b:2"], [ONE])) == [
        {"stream": "Loaded image: a:1\n"},
        {"stream": "Loaded image: b:2\n"},
    ]
    ident = image_id([ONE])
    assert world.events == [("load", ident, {"name": ident})]
    assert await load(images, docker_archive([], [TWO])) == [{"stream": f"Loaded image ID: {image_id([TWO])}\n"}]
    assert (await load(images, docker_archive(["a:1"], [TWO])))[0] == {
        "stream": f"The image a:1 already exists, renaming the old one with ID {ident} to empty string\n"
    }
    words = "Error processing tar file(exit status 1): archive/tar: invalid tar header"
    assert await load(images, b"garbage" * 500) == [{"errorDetail": {"message": words}, "error": words}]


async def test_load_tells_its_progress(images: Images) -> None:
    """Unless quiet; the last word of a layer is that all of it was read."""
    lines = await load(images, docker_archive(["a:1"], [small_layer(big="x" * 3_000_000)]), quiet=False)
    status = [line for line in lines if "status" in line][-1]
    assert (status["status"], len(status["id"])) == ("Loading layer", 12)
    assert status["progressDetail"]["current"] == status["progressDetail"]["total"]
    assert status["progress"].startswith("[==================================================>]  3.0")


async def test_save_takes_names_ids_and_repositories(images: Images, world: World) -> None:
    """A repository alone means all its tags, an id no name at all."""
    ident = await make(images, ["a:1", "a:2", "b:1"], [ONE])

    async def names(*wanted: str) -> object:
        archive = b"".join([piece async for piece in images.save(wanted)])
        await load(images, archive)
        start = archive.index(b'"RepoTags":') + 11
        return json.loads(archive[start : archive.index(b',"Layers"', start)])

    assert await names("a") == ["a:1", "a:2"]
    assert await names("b:1", "a:2") == ["b:1", "a:2"]
    assert await names(ident) is None
    assert await names(ident[7:19], "a:1") == ["a:1"]
    assert ("save", ident, {"name": ident}) in world.events
    with pytest.raises(NotFound, match="No such image: nosuch"):
        await names("nosuch")


async def test_import(images: Images, world: World) -> None:
    changes = [
        'CMD ["sh", "-c"]',
        'ENV A=b C="d e"',
        "ENV OLD form of it",
        "EXPOSE 80 53/udp",
        "LABEL a=b",
        "WORKDIR /x",
        "WORKDIR y",
        "USER u",
        "VOLUME /v /w",
        "ENTRYPOINT run it",
        "HEALTHCHECK CMD true",
        "STOPSIGNAL 9",
        "ONBUILD RUN x",
    ]
    ident = await images.import_(chunks(ONE), repository="imp", message="hello", changes=changes)
    record = images.resolve("imp")
    assert record.id == ident
    assert msgspec.to_builtins(record.config) == {
        "Cmd": ["sh", "-c"],
        "Entrypoint": ["/bin/sh", "-c", "run it"],
        "Env": ["A=b", "C=d e", "OLD=form of it"],
        "ExposedPorts": {"80/tcp": {}, "53/udp": {}},
        "Labels": {"a": "b"},
        "WorkingDir": "/x/y",
        "User": "u",
        "Volumes": {"/v": {}, "/w": {}},
        "Healthcheck": {"Test": ["CMD-SHELL", "true"]},
        "StopSignal": "9",
        "OnBuild": ["RUN x"],
    }
    assert [(item.comment, item.size) for item in images.history("imp")] == [("hello", 1)]
    assert [event[0] for event in world.events] == ["tag", "import"]
    assert world.events[0][2] == {"a": "b", "name": "imp"}


async def test_import_refuses_in_dockers_words(images: Images, tmp_path: Path) -> None:
    for given, words in (
        ({"changes": ["RUN x"]}, "run is not a valid change command"),
        ({"repository": "A"}, "invalid reference format: repository name must be lowercase"),
        ({"platform": "a/b/c/d"}, '"a/b/c/d": cannot parse platform specifier: invalid argument'),
    ):
        with pytest.raises(InvalidArgument) as caught:
            await images.import_(chunks(ONE), **given)  # type: ignore[arg-type]
        assert caught.value.message == words
    with pytest.raises(WherryError, match="invalid tar header"):
        await images.import_(chunks(b"garbage" * 500))
    assert leftovers(tmp_path / "root")["blobs"] == []


# --- finding ----------------------------------------------------------------------------------------------------------


async def test_every_way_to_name_an_image(images: Images) -> None:
    ident = await make(images, ["a/b:1", "c:latest"], [ONE])
    for name in ("a/b:1", "docker.io/a/b:1", "c", "c:latest", ident, ident[7:], ident[:14], ident[7:12], ident[7:8]):
        assert images.resolve(name).id == ident
    for name, missing in (
        ("nosuch", "nosuch:latest"),
        ("c:2", "c:2"),
        ("a/b", "a/b:latest"),
        ("sha256:" + "0" * 64, "sha256:" + "0" * 64),
        ("0" * 64, "sha256:" + "0" * 64),
    ):
        with pytest.raises(NotFound) as caught:
            images.resolve(name)
        assert caught.value.message == f"No such image: {missing}"
    with pytest.raises(InvalidArgument):
        images.resolve("C")


async def test_a_tag_comes_before_the_beginning_of_an_id(images: Images) -> None:
    one, two = await make(images, ["a:1"], [ONE]), await make(images, ["b:1"], [TWO])
    await images.tag("b:1", one[7:19], "")
    assert images.resolve(one[7:19]).id == two


async def test_what_containers_take_from_an_image(images: Images, store: ImageStore) -> None:
    await make(images, ["a:1"], [ONE, TWO], Cmd=["x"], User="u")
    record = images.resolve("a:1")
    assert (record.config.cmd, record.config.user, record.os, record.size) == (["x"], "u", "linux", 3)
    assert record.snapshot_key is not None
    overlay = await store.snapshots.prepare("container", record.snapshot_key)
    assert len(overlay.lower) == 3
    await make(images, ["empty:1"], [])
    assert images.resolve("empty:1").snapshot_key is None


async def test_inspect_is_whole(images: Images) -> None:
    await make(images, ["a:1"], [ONE, TWO])
    found = json.loads(msgspec.json.encode(images.inspect("a:1")))
    assert (found["RepoTags"], found["RepoDigests"], found["Size"]) == (["a:1"], [], 3)
    assert found["RootFS"]["Type"] == "layers"
    assert len(found["RootFS"]["Layers"]) == 2
    assert set(found["GraphDriver"]["Data"]) == {"LowerDir", "MergedDir", "UpperDir", "WorkDir"}
    assert found["Created"] == "2024-01-01T00:00:00Z"
    assert found["Metadata"]["LastTagTime"].startswith("20")
    assert "Parent" in found
    assert [step.size for step in images.history("a:1")] == [2, 1]
    assert [step.id for step in images.history("a:1")] == [found["Id"], "<missing>"]


# --- lists ------------------------------------------------------------------------------------------------------------


async def listed(images: Images, **terms: str | tuple[str, ...]) -> list[list[str]]:
    filters = Filters({key: (value,) if isinstance(value, str) else value for key, value in terms.items()})
    return [summary.repo_tags or [] for summary in images.list_images(filters)]


async def test_filters(images: Images) -> None:
    await make(images, ["old/a:1"], [ONE], "2020-01-01T00:00:00Z", Labels={"k": "v"})
    await make(images, ["mid/b:1", "mid/b:2"], [TWO], "2021-01-01T00:00:00Z")
    await make(images, [], [THREE], "2022-01-01T00:00:00Z")
    assert await listed(images) == [[], ["mid/b:1", "mid/b:2"], ["old/a:1"]]
    assert await listed(images, dangling="true") == [[]]
    assert await listed(images, dangling="false") == [["mid/b:1", "mid/b:2"], ["old/a:1"]]
    assert await listed(images, label="k") == await listed(images, label="k=v") == [["old/a:1"]]
    assert await listed(images, label="k=w") == []
    assert await listed(images, before="mid/b:1") == [["old/a:1"]]
    assert await listed(images, since="mid/b:1") == [[]]
    assert await listed(images, until="2020-06-01T00:00:00Z") == [["old/a:1"]]
    assert await listed(images, until="10m") == await listed(images)
    assert await listed(images, reference="mid/*:2") == [["mid/b:2"]]
    assert await listed(images, reference="*/a") == [["old/a:1"]]
    assert await listed(images, reference="*") == []
    assert await listed(images, reference=("*/[ab]", "none")) == [["mid/b:1", "mid/b:2"], ["old/a:1"]]
    for terms, kind in (
        ({"nosuch": "1"}, InvalidArgument),
        ({"dangling": "maybe"}, InvalidArgument),
        ({"before": "nosuch"}, NotFound),
        ({"reference": "[a"}, InvalidArgument),
        ({"until": "xx"}, WherryError),
    ):
        with pytest.raises(kind):
            await listed(images, **terms)


async def test_sizes_of_what_is_shared(images: Images, world: World) -> None:
    one = await make(images, ["a:1"], [ONE, TWO])
    await make(images, ["b:1"], [ONE, THREE])
    world.users[one] = [ImageUser(container_id="c", running=False)]
    assert [summary.shared_size for summary in images.list_images(Filters())] == [-1, -1]
    usage = images.usage()
    assert usage.layers_size == 6
    assert {(summary.size, summary.shared_size, summary.containers) for summary in usage.images} == {
        (3, 1, 1),
        (4, 1, 0),
    }
    assert images.count() == 2


# --- removal ----------------------------------------------------------------------------------------------------------


async def removed(images: Images, name: str, **options: bool) -> list[str]:
    return [item.untagged or item.deleted for item in await images.remove(name, **options)]


async def test_the_last_name_takes_the_image_and_its_layers(
    images: Images, store: ImageStore, world: World, tmp_path: Path
) -> None:
    ident = await make(images, ["a:1", "b:1"], [ONE, TWO])
    chain = images.resolve("a:1").document.chain
    assert await removed(images, "a:1") == ["a:1"]
    assert await removed(images, "b:1") == ["b:1", ident, *chain[::-1]]
    assert [event[:2] for event in world.events[1:]] == [("untag", ident), ("untag", ident), ("delete", ident)]
    await store.close()
    assert leftovers(tmp_path / "root") == EMPTY


async def test_an_id_takes_its_only_name(images: Images) -> None:
    ident = await make(images, ["a:1"], [ONE])
    assert (await removed(images, ident[7:19]))[:2] == ["a:1", ident]
    ident = await make(images, ["a:1", "a:2"], [ONE])
    with pytest.raises(Conflict) as caught:
        await removed(images, ident)
    assert caught.value.message == (
        f"conflict: unable to delete {ident[7:19]} (must be forced) - image is referenced in multiple repositories"
    )
    assert (await removed(images, ident, force=True))[:3] == ["a:1", "a:2", ident]


async def test_containers_hold_their_image(images: Images, world: World) -> None:
    ident = await make(images, ["a:1"], [ONE])
    short = ident[7:19]
    world.users[ident] = [ImageUser(container_id="c" * 64, running=False)]
    for name, words in (
        (
            "a:1",
            f'unable to remove repository reference "a:1" (must force) - container {"c" * 12} is using its '  # noqa: ISC004
            f"referenced image {short}",
        ),
        (short, f"unable to delete {short} (must be forced) - image is being used by stopped container {'c' * 12}"),
    ):
        with pytest.raises(Conflict) as caught:
            await removed(images, name)
        assert caught.value.message == f"conflict: {words}"
    world.users[ident] = [ImageUser(container_id="c" * 64, running=True)]
    with pytest.raises(Conflict) as caught:
        await removed(images, short, force=True)
    assert caught.value.message == (
        f"conflict: unable to delete {short} (cannot be forced) - image is being used by running container {'c' * 12}"
    )
    assert await removed(images, "a:1", force=True) == ["a:1"]
    assert images.resolve(ident).repo_tags == []


async def test_a_forced_removal_leaves_the_containers_layers(images: Images, world: World, store: ImageStore) -> None:
    ident = await make(images, ["a:1"], [ONE])
    overlay = await store.snapshots.prepare("container", images.resolve("a:1").snapshot_key)
    world.users[ident] = [ImageUser(container_id="c" * 64, running=False)]
    assert await removed(images, "a:1", force=True) == ["a:1", ident]
    assert images.get(ident) is None
    assert store.snapshots.overlay("container") == overlay
    assert os.listdir(overlay.lower[0]) == ["a"]


async def test_children_hold_their_parent_and_free_it(images: Images, store: ImageStore) -> None:
    parent, child = await make(images, ["p:1"], [ONE]), await make(images, ["c:1"], [ONE, TWO])
    document = store.images.get(child)
    assert document is not None
    related = msgspec.structs.replace(document, parent=parent)
    await store.database.write(lambda connection: image_state.save(connection, related))
    with pytest.raises(Conflict, match="image has dependent child images"):
        await removed(images, parent)
    assert await removed(images, "p:1") == ["p:1"]
    assert [summary.id for summary in images.list_images(Filters())] == [child]
    assert {summary.id for summary in images.list_images(Filters(), all_=True)} == {child, parent}
    assert [step.id for step in images.history("c:1")] == [child, parent]
    gone = await removed(images, "c:1")
    assert [one for one in gone if one in (child, parent)] == [child, parent]


async def test_prune(images: Images, world: World) -> None:
    nameless = image_id([ONE])
    await load(images, docker_archive([], [ONE]))
    named, used = await make(images, ["a:1"], [TWO]), await make(images, ["b:1"], [THREE], Labels={"keep": "1"})
    report = await images.prune(Filters())
    assert next(item.deleted for item in report.images_deleted or [] if item.deleted) == nameless
    assert report.space_reclaimed == 1
    assert world.events[-1] == ("prune", "", {"reclaimed": "1"})
    assert (await images.prune(Filters())).images_deleted is None
    everything = {"dangling": ("false",)}
    assert (await images.prune(Filters({**everything, "until": ("2020-01-01T00:00:00Z",)}))).images_deleted is None
    assert (await images.prune(Filters({**everything, "label": ("keep",), "label!": ("keep",)}))).images_deleted is None
    world.users[used] = [ImageUser(container_id="c" * 64, running=False)]
    report = await images.prune(Filters(everything))
    assert next(item.deleted for item in report.images_deleted or [] if item.deleted) == named
    assert [summary.id for summary in images.list_images(Filters())] == [used]
    for terms in ({"nosuch": ("1",)}, {"dangling": ("xx",)}, {"until": ("xx",)}):
        with pytest.raises(WherryError):
            await images.prune(Filters(terms))


async def test_tags(images: Images, world: World) -> None:
    ident = await make(images, ["a:1"], [ONE])
    await images.tag("a:1", "x/y", "2")
    await images.tag("a:1", "x/z", "")
    assert images.resolve(ident).repo_tags == ["a:1", "x/y:2", "x/z:latest"]
    assert world.events[-1] == ("tag", ident, {"name": "x/z"})
    for repository, tag, words in (
        ("X", "", "invalid reference format: repository name must be lowercase"),
        ("x", "a b", "invalid tag format"),
        ("", "", "invalid reference format"),
        ("a" * 64, "", f"invalid repository name ({'a' * 64}), cannot specify 64-byte hexadecimal strings"),
    ):
        with pytest.raises(InvalidArgument) as caught:
            await images.tag("a:1", repository, tag)
        assert caught.value.message == words
    with pytest.raises(NotFound, match="No such image: nosuch:latest"):
        await images.tag("nosuch", "x", "")


async def test_everything_is_there_after_a_restart(
    images: Images, store: ImageStore, world: World, tmp_path: Path
) -> None:
    ident = await make(images, ["a:1"], [ONE])
    await store.close()
    store.database.close()
    async with open_store(tmp_path / "root") as again:
        assert Images(again, world, world).resolve("a:1").id == ident
