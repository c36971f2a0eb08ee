"""Damaged and hostile model files, generated: load gives the model or a ModelFileError, and never much memory.

600 files in every run, 30,000 in a slow one. What does load must also be safe to go on training from.
"""

import io
import json
import os
import struct
import time
import tracemalloc
import zipfile

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
from bits import result_bits
from hostile import NUMBERS, Outcomes, bounded_memory

from fastnn import Adam, ModelFileError, Network, Stop, load, train

SCALES = [1, pytest.param(50, marks=pytest.mark.slow)]
N = 9
NETWORK = Network((3, 4, 2), activation="tanh")
X = np.linspace(-1, 1, N * 3).reshape(N, 3)
OPTIONS = {"optimizer": Adam(), "batch_size": 4, "backend": "numpy"}


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """A good file: its bytes, its members, and the bits of what it holds."""
    path = tmp_path_factory.mktemp("good") / "model"
    stop = Stop(tol=0.0, patience=50, validation=0.2, restore_best=True)
    train(NETWORK, X, np.sin(X[:, :2]), epochs=3, seed=0, stop=stop, **OPTIONS).save(path)
    content = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    return content, members, result_bits(load(path))


def load_and_go_on(path, expected):
    """Load; what loads is what was saved (`expected`, where nothing else could pass for it) and can be trained on."""
    result = load(path)
    assert expected is None or result_bits(result) == expected
    assert result.predict(np.ones((1, result.network.n_inputs)), backend="numpy").shape == (1, result.network.n_outputs)
    more = train(result.network, X, np.sin(X[:, :2]), epochs=2, resume=result.state, **OPTIONS)
    assert np.isfinite(more.params).all()


def run(strategy, write, n, path, expected):
    outcomes = Outcomes()

    @hypothesis.settings(max_examples=n)
    @hypothesis.given(strategy)
    def cases(case):
        path.write_bytes(write(case))
        with outcomes.call():
            load_and_go_on(path, expected)

    with bounded_memory():
        cases()
    assert outcomes.total() >= 0.9 * n, outcomes
    assert outcomes["ModelFileError"] >= 0.3 * n, outcomes
    return outcomes


# ------------------------------------------------------------------------------------------------------ damage of bytes

places = st.floats(0, 1, exclude_max=True)
damages = st.lists(
    st.one_of(
        st.tuples(st.just("flip"), places, st.integers(0, 7)),
        st.tuples(st.just("cut"), places, st.integers(1, 200)),
        st.tuples(st.just("overwrite"), places, st.binary(min_size=1, max_size=30)),
        st.tuples(st.just("insert"), places, st.binary(min_size=1, max_size=30)),
        st.tuples(st.just("repeat"), places, st.integers(1, 500)),
        st.tuples(st.just("truncate"), places, st.none()),
    ),
    min_size=1,
    max_size=3,
)


def damaged(content, steps):
    content = bytearray(content)
    for kind, place, what in steps:
        i = int(place * len(content))
        if kind == "flip" and content:
            content[i] ^= 1 << what
        elif kind == "cut":
            del content[i : i + what]
        elif kind == "overwrite":
            content[i : i + len(what)] = what
        elif kind == "insert":
            content[i:i] = what
        elif kind == "repeat":
            content[i:i] = content[i : i + what]
        else:
            del content[i:]
    return bytes(content)


@pytest.mark.parametrize("scale", SCALES)
def test_damaged_bytes(good, tmp_path, scale):
    """Flipped, cut out, overwritten, inserted, repeated, truncated: refused, or it was a byte without meaning."""
    content, _, expected = good
    run(damages, lambda steps: damaged(content, steps), 300 * scale, tmp_path / "model", expected)


# ------------------------------------------------------------------------------------------ files made up for the worst

JSON = st.recursive(
    st.one_of(
        st.sampled_from([None, True, False, 0, 1, -1, 3, 625, 2**63, 10**30, 0.5, -0.0, "", "text", "float32", "tanh"]),
        st.sampled_from([float("nan"), float("inf"), 1e308, [3, 4, 2], [3, 10**9, 2], [1] * 1000, [[]], {}]),
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.sampled_from("abc"), inner, max_size=2)),
    max_leaves=4,
)
HEADER_PATHS = st.lists(st.sampled_from(range(40)), min_size=1, max_size=3)


@st.composite
def forgeries(draw):
    """Checksums are right: a header entry, an array or the list of members is not."""
    kind = draw(st.sampled_from(["header", "header", "array", "array", "member", "version"]))
    if kind == "header":
        return kind, draw(HEADER_PATHS), draw(JSON)
    if kind == "array":
        shape = draw(st.one_of(st.none(), st.lists(st.integers(0, 30), max_size=3).map(tuple)))
        dtype = draw(st.sampled_from([None, "f8", "f4", "i8", "u4", "u1", "c16", "S3", "U2", "O", "V4", ">f8", "?"]))
        return kind, draw(st.integers(0, 8)), (shape, dtype, draw(st.sampled_from(NUMBERS)))
    if kind == "member":
        what = st.sampled_from(["missing", "extra", "twice", "deflated", "folder", "outside", "longer", "shorter"])
        return kind, draw(st.integers(0, 8)), draw(what)
    return kind, 0, draw(JSON)


def forged(members, forgery):
    kind, where, what = forgery
    members = dict(members)
    name = list(members)[where if isinstance(where, int) else 0]
    compression, names = zipfile.ZIP_STORED, dict.fromkeys(members)
    if kind in ("header", "version"):
        header = json.loads(_array(members["header.npy"]).tobytes())
        if kind == "version":
            header["format_version"] = what
        else:
            _put(header, where, what)
        members["header.npy"] = _npy(np.frombuffer(json.dumps(header).encode(), np.uint8))
    elif kind == "array":
        shape, dtype, value = what
        old = _array(members[name])
        with np.errstate(all="ignore"):
            filled = np.resize(np.r_[value, old.ravel()[1:].astype(float)], old.shape if shape is None else shape)
            filled = np.nan_to_num(filled) if np.dtype(dtype or old.dtype).kind in "iu" else filled
            filled = np.zeros(filled.shape, dtype) if dtype == "V4" else _cast(filled, dtype or old.dtype)
        members[name] = _npy(filled)
    elif what == "missing":
        del names[name]
    elif what in ("longer", "shorter"):
        members[name] = members[name] + bytes(8) if what == "longer" else members[name][:-1]
    elif what == "deflated":
        compression = zipfile.ZIP_DEFLATED
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for each in names:
            archive.writestr(each, members[each], compression if each == name else zipfile.ZIP_STORED)
        extra = {"extra": "extra.npy", "twice": name, "folder": "a/", "outside": "../../outside.npy"}
        if kind == "member" and what in extra:
            archive._didModify = True
            archive.writestr(zipfile.ZipInfo(extra[what]), members[name])
    return file.getvalue()


def _cast(values, dtype):
    return values.clip(0, 255).astype(dtype) if np.dtype(dtype).kind in "iu" else values.astype(dtype)


def _put(header, path, value):
    """Replace an entry of the header, or one within it, or remove it."""
    inner = header
    for k in path:
        keys = sorted(inner)
        key = keys[k % len(keys)]
        if not (isinstance(inner[key], dict) and inner[key]) or k == path[-1]:
            break
        inner = inner[key]
    if value == "text":
        del inner[key]
    else:
        inner[key] = value


def _array(member):
    return np.lib.format.read_array(io.BytesIO(member))


def _npy(array):
    file = io.BytesIO()
    np.lib.format.write_array(file, array)
    return file.getvalue()


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("scale", SCALES)
def test_forged_files(good, tmp_path, scale):
    """A file that says what no save would say, with the right checksums."""
    _, members, _ = good
    run(forgeries(), lambda forgery: forged(members, forgery), 300 * scale, tmp_path / "model", None)


# ------------------------------------------------------------------------------------------------------------- memory


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
def test_networks_of_many_layers_are_refused_before_they_are_made(good, tmp_path, case):
    _, members, _ = good
    header = json.loads(_array(members["header.npy"]).tobytes())
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
def test_long_headers_are_refused_before_they_are_parsed(good, tmp_path, more):
    """Those that are not too long to be parsed are refused without being quoted at length."""
    _, members, _ = good
    _refused_with(tmp_path / "model", members, json.loads(_array(members["header.npy"]).tobytes()) | more)


def test_a_deeply_nested_header_is_refused(good, tmp_path):
    _, members, _ = good
    _refused_with(tmp_path / "model", members, b"[" * 60_000)


def _refused_with(path, members, header):
    text = header if isinstance(header, bytes) else json.dumps(header, separators=(",", ":")).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, _npy(np.frombuffer(text, np.uint8)) if name == "header.npy" else content)
    del text
    refused(path)


@pytest.mark.parametrize("large", [False, True], ids=["plain", "of a large archive"])
def test_many_members_are_refused_before_they_are_listed(good, tmp_path, large):
    """A zip directory of 300,000 entries, whether its size stands in the plain end or in that of large archives."""
    content = good[0]
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
def test_names_of_members_are_not_quoted_at_length(good, tmp_path, names):
    _, members, _ = good
    with zipfile.ZipFile(tmp_path / "model", "w") as archive:
        for name in [*members, *names]:
            archive.writestr(name, members.get(name, b""))
    refused(tmp_path / "model")


def test_zip_bombs_do_not_go_off(good, tmp_path):
    """A member that would inflate to a gigabyte."""
    _, members, _ = good
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
    result = train(NETWORK, X, X[:, :2], epochs=0, backend="numpy")
    os.symlink("/dev/null", tmp_path / "link")
    with pytest.raises(OSError, match="not a regular file"):
        result.save(tmp_path / "link")
    assert not os.path.isfile("/dev/null")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no such pipes")
def test_a_pipe_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "model")
    refused(tmp_path / "model")


@pytest.mark.parametrize("path", [0, True, None, 1.5, [], object()])
def test_what_is_no_path_is_a_type_error(path):
    """0 would be the standard input, and wait for it."""
    with pytest.raises(TypeError):
        load(path)
    with pytest.raises(TypeError):
        train(NETWORK, X, X[:, :2], epochs=0, backend="numpy").save(path)
