"""Whatever else is in a file is refused with a clear text, and nothing of it is run or allocated."""

import io
import os
import zipfile
import zlib

import numpy as np
import pytest
from model_files import as_format_1, parts_of, write

from fastnn import FastnnError, ModelFileError, Network, load, train


def refused(path, match):
    with pytest.raises(ModelFileError, match=match) as error:
        load(path)
    assert isinstance(error.value, ValueError)
    assert isinstance(error.value, FastnnError)
    assert str(path) in str(error.value)


@pytest.mark.parametrize("what", [b"", b"hello", b"\x89PNG\r\n", b"PK\x03\x04rubbish", b"\x93NUMPY"])
def test_foreign_files_are_refused(path, what):
    path.write_bytes(what)
    refused(path, "fastnn file")


def test_foreign_archives_are_refused(path):
    np.savez(path, weights=np.zeros(3))
    refused(path, "not a fastnn file")
    np.savez(path, header=np.frombuffer(b'{"format": "other"}', np.uint8))
    refused(path, "not a fastnn file")
    np.savez(path, header=np.frombuffer(b"[1, 2]", np.uint8))
    refused(path, "not a fastnn file")
    np.savez(path, header=np.zeros(3))
    refused(path, "its header is no text")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "hello")
    refused(path, "not a fastnn file")


def test_a_later_format_is_refused(path, content):
    header, arrays = parts_of(content)
    write(path, header | {"format_version": 3, "versions": {"fastnn": "9.1"}}, arrays | {"new": np.zeros(1)})
    refused(path, "written by fastnn 9.1 in format 3; this is fastnn .*, which reads format 1 and 2")


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
    header, arrays = parts_of(content)
    write(path, header, arrays)
    with zipfile.ZipFile(path) as archive:
        raw = {name: archive.read(name) for name in archive.namelist()}
    lie = io.BytesIO()
    np.lib.format.write_array_header_1_0(lie, {"descr": "<f8", "fortran_order": False, "shape": (10**13,)})
    for compression, loss, match in (
        (zipfile.ZIP_STORED, lie.getvalue(), "or another size than that"),
        (zipfile.ZIP_DEFLATED, raw["loss.npy"] + bytes(10**6), "not stored as fastnn stores it"),
        (zipfile.ZIP_DEFLATED, raw["loss.npy"], "not stored as fastnn stores it"),
    ):
        with zipfile.ZipFile(path, "w") as archive:
            for name, value in raw.items():
                archive.writestr(name, loss if name == "loss.npy" else value, compression)
        refused(path, match)
    with zipfile.ZipFile(path, "w") as archive:
        for name, value in raw.items():
            archive.writestr(name, value)
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("loss.npy", raw["loss.npy"])
    refused(path, "an .npz archive of something else")


@pytest.mark.parametrize(
    ("name", "change", "match"),
    [
        ("params", lambda a: a * np.nan, "params must be finite"),
        ("best_params", lambda a: a * np.inf, "best_params must be finite"),
        ("vectors", lambda a: a * np.nan, "state's parameters must be finite"),
        ("params", lambda a: a[1:], r"params is float64 \(25,\) where its header asks for float64 \(26,\)"),
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
    ],
)
def test_arrays_that_do_not_fit_are_refused(path, content, name, change, match):
    header, arrays = parts_of(content)
    if name in ("index", "validation_rows"):
        header, arrays = as_format_1(header, arrays)
    changed = arrays | {name: change(arrays.get(name))}
    write(path, header, {key: value for key, value in changed.items() if value is not None})
    refused(path, match)


ORDERS = [
    (lambda a: a + 1, "not a permutation of the rows"),
    (lambda a: a[:, None], "its row order is not that of 23 rows"),
    (lambda a: a.ravel(), "damaged, or no fastnn file at all"),
    (lambda a: a.astype(float), "its row order is not stored as fastnn stores it"),
    (lambda a: a[:, 1:], "its row order is not that of 23 rows"),
    (lambda a: np.r_[a, a], "its row order is not that of 23 rows"),
    (lambda a: np.frombuffer(zlib.compress(bytes(24)), np.uint8), "its row order is not that of 23 rows"),
    (lambda a: np.frombuffer(zlib.compress(bytes(23)), np.uint8), "not a permutation of the rows"),
]


@pytest.mark.parametrize("case", range(len(ORDERS)))
def test_orders_of_rows_that_do_not_fit_are_refused(path, content, case):
    header, arrays = parts_of(content)
    change, match = ORDERS[case]
    write(path, header, arrays | {"order": change(arrays["order"])})
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
    "random_state": [{"pos": 625, "has_gauss": 0, "gauss": 0.0}, {"pos": 3, "has_gauss": 2, "gauss": 0.0}],
    "counters": [
        *([], {"alpha": -1.0}, {"alpha": "0"}, {"shuffle": 1}, {"rate_factor": 1.5}, {"rate_least": -1.0}),
        *({"best_on": 1}, {"batch_size": 0}, {"activation": "tanh"}, {"loss": 3}),
        *({"optimizer": "Adam"}, {"optimizer": {"name": "Adam"}}),
    ],
    "monitor": [1],
    "stop_reason": ["tired"],
    "backend": [3],
    "network": [{"sizes": [3, 4, 2], "activation": "nothing"}, None],
    "seconds": ["long"],
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in HEADERS.items() for value in values])
def test_headers_that_do_not_fit_are_refused(path, content, name, value):
    header, arrays = parts_of(content)
    write(path, header, arrays)
    load(path)
    write(path, header | {name: value}, arrays)
    refused(path, "damaged")
    del header[name]
    write(path, header, arrays)
    refused(path, "damaged")


@pytest.mark.parametrize("path", [None, 3, io.BytesIO()], ids=["None", "a number", "a buffer"])
def test_what_is_no_name_of_a_file_is_refused(path):
    result = train(Network((2, 1)), np.ones((3, 2)), np.ones(3), epochs=1, seed=0, backend="numpy")
    for call in (load, result.save):
        with pytest.raises(TypeError, match="path must be the name of a file, such as"):
            call(path)
