"""JSON bodies by Go's rules."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherry.api.server.decode import check_content_type, decode_json
from wherry.lib.errors import InvalidArgument
from wherry.wire.container import CreateRequest, HostConfig
from wherry.wire.exec import ExecStart

PORT = "HostConfig.PortBindings.HostPort"


def refusal(body: bytes, model=CreateRequest) -> str:
    with pytest.raises(InvalidArgument) as caught:
        decode_json(body, model)
    return caught.value.message


def test_null_is_the_default_everywhere():
    body = b"""{"Image": null, "Tty": null, "Env": null, "ExposedPorts": {"80/tcp": null}, "Labels": {"a": null},
        "HostConfig": {"Memory": null, "LogConfig": null, "RestartPolicy": {"Name": null},
        "PortBindings": {"80/tcp": null},
        "ConsoleSize": null, "Ulimits": [null]}}"""
    request = decode_json(body, CreateRequest)
    assert (request.image, request.tty, request.env, request.labels) == ("", False, None, {"a": ""})
    assert request.exposed_ports == {"80/tcp": {}}
    host = request.host_config
    assert host is not None
    assert (host.memory, host.console_size, host.port_bindings) == (0, (0, 0), {"80/tcp": None})
    assert host.ulimits is not None
    assert host.ulimits[0].name == ""


def test_null_as_a_body():
    assert decode_json(b"null", ExecStart) == ExecStart()


def test_names_match_in_any_case():
    request = decode_json(b'{"image": "busybox", "hostconfig": {"MEMORY": 5}}', CreateRequest)
    assert request.image == "busybox"
    assert request.host_config is not None
    assert request.host_config.memory == 5


def test_unknown_fields_are_ignored():
    assert decode_json(b'{"Image": "x", "Nonsense": {"a": [1]}}', CreateRequest).image == "x"


def test_a_command_may_be_one_string():
    request = decode_json(b'{"Cmd": "true", "Entrypoint": "", "HostConfig": {"CapAdd": "ALL"}}', CreateRequest)
    assert (request.cmd, request.entrypoint) == (["true"], [""])
    assert request.host_config is not None
    assert request.host_config.cap_add == ["ALL"]


def test_arrays_of_fixed_size_come_in_any_length():
    assert decode_json(b'{"ConsoleSize": [3]}', ExecStart).console_size == (3, 0)
    assert decode_json(b'{"ConsoleSize": [3, 4, 5]}', ExecStart).console_size == (3, 4)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"Image": 3}', "json: cannot unmarshal number into Go struct field CreateRequest.Image of type string"),
        (b"[]", "json: cannot unmarshal array into Go value of type CreateRequest"),
        (b'"x"', "json: cannot unmarshal string into Go value of type CreateRequest"),
        (b'{"Tty": 1}', "json: cannot unmarshal number into Go struct field CreateRequest.Tty of type bool"),
        (b'{"Env": "x"}', "json: cannot unmarshal string into Go struct field CreateRequest.Env of type []string"),
        (b'{"Env": [true]}', "json: cannot unmarshal bool into Go struct field CreateRequest.Env of type string"),
        (
            b'{"HostConfig": {"Memory": 1.5}}',
            "json: cannot unmarshal number 1.5 into Go struct field HostConfig.HostConfig.Memory of type int64",
        ),
        (
            b'{"HostConfig": {"PortBindings": {"80/tcp": [{"HostPort": 80}]}}}',
            "json: cannot unmarshal number into Go struct field PortBinding." + PORT + " of type string",
        ),
        (b'{"Image":', "unexpected EOF"),
        (b"{} x", "unexpected content after JSON"),
        (b"xx", "invalid character 'x' looking for beginning of value"),
        (b"[" * 100_000, "exceeded max depth"),
    ],
)
def test_what_is_refused_is_said_in_gos_words(body, message):
    assert refusal(body) == f"invalid JSON: {message}"


def test_numbers_beyond_64_bits_are_refused():
    assert "cannot unmarshal number" in refusal(b'{"HostConfig": {"Memory": 36893488147419103232}}')


def test_not_utf_8():
    assert refusal(b'{"Image": "\xff"}').startswith("invalid JSON: ")


def test_content_types():
    check_content_type("", has_body=False)
    check_content_type("application/json; charset=utf-8", has_body=True)
    with pytest.raises(InvalidArgument, match="malformed Content-Type header"):
        check_content_type("", has_body=True)
    with pytest.raises(InvalidArgument, match=r"unsupported Content-Type header \(text/plain\): must be"):
        check_content_type("text/plain", has_body=False)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(HostConfig.__struct_encode_fields__), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(values)
def test_any_json_is_decoded_or_refused(value):
    for model in (CreateRequest, HostConfig, ExecStart):
        try:
            decoded = decode_json(msgspec.json.encode(value), model)
        except InvalidArgument:
            continue
        assert isinstance(decoded, model)
