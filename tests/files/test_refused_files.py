"""Whatever else is in a file, by accident or by intent, is refused with a clear text, and none of
it is run or read."""

import io
import os
import pathlib
import struct
import zipfile
import zlib

import numpy as np
import pytest
from counted import counted_calls
from memory_of_files import little_memory
from model_files import packed, parts_of, trained, write
from pages import ROOT

from fastnn import Adam, FastnnError, ModelFileError, Network, load, train


def refused(path, match=None):
    """Refused in little memory, and before much work is done on what the file holds."""
    memory = little_memory(path, base=3_000_000, factor=0)
    refusal = pytest.raises(ModelFileError, match=match)
    with memory, refusal as error, counted_calls() as count:
        load(path)
    assert count.n < 200_000
    assert isinstance(error.value, ValueError)
    assert isinstance(error.value, FastnnError)
    assert str(path) in str(error.value)
    assert len(str(error.value)) < 1000


@pytest.mark.parametrize(
    ("what", "match"),
    [
        *(
            (content, "fastnn file")
            for content in (b"", b"hello", b"\x89PNG\r\n", b"PK\x03\x04rubbish", b"\x93NUMPY")
        ),
        ({"weights": np.zeros(3)}, "not a fastnn file"),
        ({"header": packed({"format": "other"})}, "not a fastnn file"),
        ({"header": packed([1, 2])}, "not a fastnn file"),
        ({"header": np.zeros(3)}, "its header is no text"),
    ],
)
def test_foreign_files_are_refused(path, what, match):
    if isinstance(what, bytes):
        path.write_bytes(what)
    else:
        np.savez(path, **what)
    refused(path, match)


def test_a_later_format_is_refused(path, content):
    header, arrays = parts_of(content)
    write(
        path,
        header | {"format_version": 3, "versions": {"fastnn": "9.1"}},
        arrays | {"new": np.zeros(1)},
    )
    refused(
        path, "written by fastnn 9.1 in format 3; this is fastnn .*, which reads format 1 and 2"
    )


class Bomb:
    """An object whose code would run if anything unpickled it."""

    def __reduce__(self):
        return os._exit, (3,)


def test_pickles_are_never_opened(path, content):
    header, arrays = parts_of(content)
    arrays["loss"] = np.array([Bomb()], object)
    write(path, header, arrays)
    refused(path, "loss.npy holds object")


def test_a_small_file_does_not_become_a_large_order(path, content):
    header, arrays = parts_of(content)
    n = 50_000_000
    arrays["order"] = np.frombuffer(zlib.compress(bytes(4 * n)), np.uint8)
    write(path, header | {"n_rows": n, "n_validation": None}, arrays)
    assert path.stat().st_size < 1_000_000
    refused(path, "its row order is not stored as fastnn stores it")


def test_sizes_are_checked_before_anything_is_allocated(path, content):
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    lie = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        lie, {"descr": "<f8", "fortran_order": False, "shape": (10**13,)}
    )
    for compression, loss, match in (
        (zipfile.ZIP_STORED, lie.getvalue(), "or another size than that"),
        (
            zipfile.ZIP_DEFLATED,
            members["loss.npy"] + bytes(1 << 27),
            "not stored as fastnn stores it",
        ),
        (zipfile.ZIP_DEFLATED, members["loss.npy"], "not stored as fastnn stores it"),
    ):
        with zipfile.ZipFile(path, "w") as archive:
            for name, value in members.items():
                archive.writestr(name, loss if name == "loss.npy" else value, compression)
        refused(path, match)
    path.write_bytes(content)
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("loss.npy", members["loss.npy"])
    refused(path, "an .npz archive of something else")


FORMAT_1 = ROOT / "tests/support/data/version_0_1/stop.npz"
ARRAYS = [
    ("params", lambda a: a * np.nan, "params must be finite"),
    ("best_params", lambda a: a * np.inf, "best_params must be finite"),
    ("vectors", lambda a: a * np.nan, "state's parameters must be finite"),
    (
        "params",
        lambda a: a[1:],
        r"params is float64 \(25,\) where its header asks for float64 \(26,\)",
    ),
    ("params", lambda a: a.astype(np.float32), "params is float32"),
    ("vectors", lambda a: a[:2], r"vectors is float64 \(2, 26\)"),
    ("index", lambda a: a + 1, "its row order is not a permutation"),
    ("index", lambda a: a - 1, "not a permutation of the rows"),
    ("index", lambda a: a[:, None], "index is int64"),
    ("index", lambda a: a.astype(float), "index is float64"),
    ("index", lambda a: np.r_[a[:-1], a[0]], "is not a permutation of the rows"),
    ("validation_rows", lambda a: a[1:], "not a permutation of the rows"),
    ("random_state", lambda a: a[1:], r"random_state is uint32 \(623,\)"),
    ("validation_loss", lambda a: a[1:], "validation_loss is float64"),
    ("loss", lambda a: None, r"lacks \['loss'\]"),
    ("best_params", lambda a: None, r"lacks \['best_params'\]"),
    ("extra", lambda a: np.zeros(1), r"unexpected \['extra'\]"),
    ("order", lambda a: a + 1, "not a permutation of the rows"),
    ("order", lambda a: a[:, None], "its row order is not that of 23 rows"),
    ("order", lambda a: a.ravel(), "damaged, or no fastnn file at all"),
    ("order", lambda a: a.astype(float), "its row order is not stored as fastnn stores it"),
    ("order", lambda a: a[:, 1:], "its row order is not that of 23 rows"),
    (
        "order",
        lambda a: np.frombuffer(zlib.compress(bytes(24)), np.uint8),
        "its row order is not that of 23 rows",
    ),
    (
        "order",
        lambda a: np.frombuffer(zlib.compress(bytes(23)), np.uint8),
        "not a permutation of the rows",
    ),
]


@pytest.mark.parametrize(("name", "change", "match"), ARRAYS, ids=map(str, range(len(ARRAYS))))
def test_arrays_that_do_not_fit_are_refused(path, content, name, change, match):
    header, arrays = parts_of(
        FORMAT_1.read_bytes() if name in ("index", "validation_rows") else content
    )
    changed = arrays | {name: change(arrays.get(name))}
    write(path, header, {key: value for key, value in changed.items() if value is not None})
    refused(path, match)


HEADERS = {
    "dtype": ["object", "complex128"],
    "n_params": [27],
    "n_vectors": [0, "3"],
    "n_rows": [0, 16.0, 2**70],
    "n_validation": [-1, True],
    "optimizer": [None],
    "t": [-1, 2**70],
    "batch": [-1],
    "beta_products": [[0.5], [0.5, 2.0]],
    "random_state": [
        {"pos": 625, "has_gauss": 0, "gauss": 0.0},
        {"pos": 3, "has_gauss": 2, "gauss": 0.0},
    ],
    "counters": [
        [],
        {"alpha": -1.0},
        {"alpha": "0"},
        {"shuffle": 1},
        {"rate_factor": 1.5},
        {"rate_least": -1.0},
        {"best_on": 1},
        {"batch_size": 0},
        {"activation": "tanh"},
        {"loss": 3},
        {"alpha": {"a": 1}},
        {"optimizer": "Adam"},
        {"optimizer": {"name": "Adam"}},
    ],
    "monitor": [1, {"a": 1}],
    "stop_reason": ["tired", {"a": 1}],
    "backend": [3],
    "network": [{"sizes": [3, 4, 2], "activation": "nothing"}, None],
    "seconds": ["long"],
}


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, values in HEADERS.items() for value in values]
)
def test_headers_that_do_not_fit_are_refused(path, content, name, value):
    header, arrays = parts_of(content)
    write(path, header, arrays)
    load(path)
    write(path, header | {name: value}, arrays)
    refused(path, "damaged")
    del header[name]
    write(path, header, arrays)
    refused(path, "damaged")


@pytest.mark.parametrize(
    "path", [None, 0, io.BytesIO()], ids=["None", "the standard input", "a buffer"]
)
def test_what_is_no_name_of_a_file_is_refused(path):
    result = trained(epochs=0)
    for call in (load, result.save, result.export):
        with pytest.raises(TypeError, match="path must be the name of a file, such as"):
            call(path)


def test_reading_takes_twice_the_file_at_most(path):
    network = Network((300, 1000, 2))
    train(
        network, X=np.ones((1, 300)), Y=np.ones((1, 2)), epochs=0, optimizer=Adam(), backend="numpy"
    ).save(path)
    with little_memory(path, base=0, factor=2):
        load(path)


LONG = {
    "many layers": {"network": {"sizes": [1] * 2_000_000}},
    "just not too many layers": {"network": {"sizes": [1] * 25_000}},
    "an activation": {"network": {"sizes": [3, 4, 2], "activation": "a" * 60_000}},
    "objects": {"unknown": [{}] * 500_000},
    "text": {"unknown": "x" * 50_000_000},
    "arrays": {"arrays": ["x"] * 1_000_000},
    "fewer arrays": {"arrays": ["x"] * 10_000},
    "version": {"format_version": "9" * 50_000},
    "writer": {"format_version": 3, "versions": {"fastnn": "9" * 50_000}},
    "format": {"format": "9" * 50_000},
    "reason": {"stop_reason": "9" * 50_000},
    "nested": b"[" * 16_000,  # which Python parses from version 3.14 on
    "nested deeply": b"[" * 60_000,
}


@pytest.mark.parametrize("case", LONG)
def test_long_headers_are_refused_before_they_are_parsed(path, content, case):
    """Those that are not too long to be parsed are refused without being quoted at length."""
    header, arrays = parts_of(content)
    write(path, LONG[case] if isinstance(LONG[case], bytes) else header | LONG[case], arrays)
    refused(path)


@pytest.mark.parametrize("large", [False, True], ids=["plain", "of a large archive"])
def test_many_members_are_refused_before_they_are_listed(path, content, large):
    """A zip directory of 300,000 entries, whether its size stands in the plain end or in that of
    large archives."""
    *_, size, start, _ = struct.unpack("<4s4H2LH", content[-22:])
    members = content[:start]
    entry = content[start : start + 46 + content[start + 28]]
    directory = entry * 300_000
    end = struct.pack(
        "<4s4H2LH", b"PK\5\6", 0, 0, 9, 9, size if large else len(directory), start, 0
    )
    if large:
        counts = 300_000, 300_000, len(directory), start
        end64 = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, *counts)
        end = end64 + struct.pack("<4sLQL", b"PK\6\7", 0, start + len(directory), 1) + end
    path.write_bytes(members + directory + end)
    refused(path)


@pytest.mark.parametrize(
    "names", [["x" * 60_000], [f"{i}" * 5 for i in range(1000)]], ids=["a long one", "many"]
)
def test_names_of_members_are_not_quoted_at_length(path, content, names):
    path.write_bytes(content)
    with zipfile.ZipFile(path, "a") as archive:
        for name in names:
            archive.writestr(name, b"")
    refused(path)


@pytest.mark.skipif(os.name == "nt", reason="a sparse file the POSIX way")
@pytest.mark.parametrize("begins", [b"", b"PK\x03\x04"])
def test_files_of_a_terabyte_are_not_read(path, begins):
    path.write_bytes(begins)
    try:
        os.truncate(path, 1 << 40)
    except OSError:
        pytest.skip("no sparse files of this size here")
    refused(path)


@pytest.mark.skipif(not os.path.exists("/dev/zero"), reason="no such device")
def test_devices_are_neither_read_nor_replaced(tmp_path):
    refused(pathlib.Path("/dev/zero"))
    result = trained(epochs=0)
    os.symlink("/dev/null", tmp_path / "link")
    with pytest.raises(OSError, match="not a regular file"):
        result.save(tmp_path / "link")
    assert not os.path.isfile("/dev/null")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no such pipes")
def test_a_pipe_is_refused_and_not_waited_for(path):
    os.mkfifo(path)
    refused(path)
