"""What config.json says of namespaces, without entering any."""

from __future__ import annotations

from wherry.runtime.init_namespaces import host_root


def test_the_root_of_a_user_namespace():
    maps = [{"containerID": 5, "hostID": 7, "size": 1}, {"containerID": 0, "hostID": 100000, "size": 65536}]
    user = [{"type": "pid"}, {"type": "user"}]
    assert host_root({"namespaces": user, "uidMappings": maps, "gidMappings": maps[:1]}) == (100000, 0)
    assert host_root({"namespaces": user}) == (0, 0)
    assert host_root({}) == (0, 0)


def test_maps_without_the_namespace_are_those_of_mounts():
    maps = [{"containerID": 0, "hostID": 100000, "size": 65536}]
    assert host_root({"namespaces": [{"type": "pid"}], "uidMappings": maps, "gidMappings": maps}) == (0, 0)
