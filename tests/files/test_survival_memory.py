"""Files made to take memory or time: they are refused before they are read."""

import io
import json
import os
import struct
import time
import tracemalloc
import zipfile

import numpy as np
import pytest
from model_files import trained

from fastnn import Adam, ModelFileError, Network, load, train


@pytest.fixture
def members(content):
    """The bytes of the members of a good file."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def header_of(members):
    return json.loads(np.load(io.BytesIO(members["header.npy"])).tobytes())


def refused(path):
    """Refused, with hardly any memory, in hardly any time and few words."""
    tracemalloc.start()
    start = time.perf_counter()
    try:
        with pytest.raises(ModelFileError) as error:
            load(path)
        assert time.perf_counter() - start < 1
        assert tracemalloc.get_traced_memory()[1] < 3_000_000
        assert len(str(error.value)) < 1000
    finally:
        tracemalloc.stop()


def test_reading_takes_twice_the_file_at_most(tmp_path):
    path = tmp_path / "model"
    network = Network((300, 1000, 2))
    train(network, X=np.ones((1, 300)), Y=np.ones((1, 2)), epochs=0, optimizer=Adam(), backend="numpy").save(path)
    tracemalloc.start()
    try:
        load(path)
        assert tracemalloc.get_traced_memory()[1] < 2 * path.stat().st_size
    finally:
        tracemalloc.stop()


HEADERS = {
    "sizes of a long list": lambda header: header["network"] | {"sizes": [1] * 2_000_000},
    "sizes of a list that is just not too long": lambda header: header["network"] | {"sizes": [1] * 25_000},
    "an activation of a long name": lambda header: header["network"] | {"activation": "a" * 60_000},
}


@pytest.mark.parametrize("case", HEADERS)
def test_networks_of_many_layers_are_refused_before_they_are_made(members, tmp_path, case):
    header = header_of(members)
    _refused_with(tmp_path / "model", members, header | {"network": HEADERS[case](header)})


@pytest.mark.parametrize(
    "more",
    [
        {"unknown": [{}] * 500_000},
        {"unknown": "x" * 50_000_000},
        {"arrays": ["x"] * 1_000_000},
        {"arrays": ["x"] * 10_000},
        {"format_version": "9" * 50_000},
        {"format_version": 3, "versions": {"fastnn": "9" * 50_000}},
        {"format": "9" * 50_000},
        {"stop_reason": "9" * 50_000},
    ],
    ids=["objects", "text", "arrays", "fewer arrays", "version", "writer", "format", "reason"],
)
def test_long_headers_are_refused_before_they_are_parsed(members, tmp_path, more):
    """Those that are not too long to be parsed are refused without being quoted at length."""
    _refused_with(tmp_path / "model", members, header_of(members) | more)


@pytest.mark.parametrize("depth", [16_000, 60_000])
def test_a_deeply_nested_header_is_refused(members, tmp_path, depth):
    """Python parses one as deep as it is, from version 3.14 on."""
    _refused_with(tmp_path / "model", members, b"[" * depth)


def _refused_with(path, members, header):
    text = header if isinstance(header, bytes) else json.dumps(header, separators=(",", ":")).encode()
    np.lib.format.write_array(packed := io.BytesIO(), np.frombuffer(text, np.uint8))
    with zipfile.ZipFile(path, "w") as archive:
        for name, member in (members | {"header.npy": packed.getvalue()}).items():
            archive.writestr(name, member)
    del text, packed
    refused(path)


@pytest.mark.parametrize("large", [False, True], ids=["plain", "of a large archive"])
def test_many_members_are_refused_before_they_are_listed(content, tmp_path, large):
    """A zip directory of 300,000 entries, whether its size stands in the plain end or in that of large archives."""
    *_, size, start, _ = struct.unpack("<4s4H2LH", content[-22:])
    members, entry = content[:start], content[start : start + 46 + content[start + 28]]
    directory = entry * 300_000
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 9, 9, size if large else len(directory), start, 0)
    if large:
        counts = 300_000, 300_000, len(directory), start
        end64 = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, *counts)
        end = end64 + struct.pack("<4sLQL", b"PK\6\7", 0, start + len(directory), 1) + end
    (tmp_path / "model").write_bytes(members + directory + end)
    del directory
    refused(tmp_path / "model")


@pytest.mark.parametrize("names", [["x" * 60_000], [f"{i}" * 5 for i in range(1000)]], ids=["a long one", "many"])
def test_names_of_members_are_not_quoted_at_length(members, tmp_path, names):
    with zipfile.ZipFile(tmp_path / "model", "w") as archive:
        for name in [*members, *names]:
            archive.writestr(name, members.get(name, b""))
    refused(tmp_path / "model")


def test_zip_bombs_do_not_go_off(members, tmp_path):
    path = tmp_path / "model"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            with archive.open(name, "w") as file:
                file.write(content)
                for _ in range(128 if name == "loss.npy" else 0):
                    file.write(bytes(1 << 20))
    assert path.stat().st_size < 1_000_000
    refused(path)


@pytest.mark.skipif(os.name == "nt", reason="a sparse file the POSIX way")
@pytest.mark.parametrize("begins", [b"", b"PK\x03\x04"])
def test_files_of_a_terabyte_are_not_read(tmp_path, begins):
    path = tmp_path / "model"
    path.write_bytes(begins)
    try:
        os.truncate(path, 1 << 40)
    except OSError:
        pytest.skip("no sparse files of this size here")
    refused(path)


@pytest.mark.skipif(not os.path.exists("/dev/zero"), reason="no such device")
def test_devices_are_neither_read_nor_replaced(tmp_path):
    refused("/dev/zero")
    result = trained(epochs=0)
    os.symlink("/dev/null", tmp_path / "link")
    with pytest.raises(OSError, match="not a regular file"):
        result.save(tmp_path / "link")
    assert not os.path.isfile("/dev/null")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no such pipes")
def test_a_pipe_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "model")
    refused(tmp_path / "model")
