"""Damaged and hostile model files, generated: load gives the model or a ModelFileError, and never much memory.

600 files in every run, 30,000 in a slow one. What does load must also be safe to go on training from.
"""

import io
import json
import zipfile

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
from bits import result_bits
from good_files import OPTIONS, X, array_of, npy_of
from hostile import NUMBERS, SCALES, Outcomes, bounded_memory

from fastnn import load, train


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
        header = json.loads(array_of(members["header.npy"]).tobytes())
        if kind == "version":
            header["format_version"] = what
        else:
            _put(header, where, what)
        members["header.npy"] = npy_of(np.frombuffer(json.dumps(header).encode(), np.uint8))
    elif kind == "array":
        shape, dtype, value = what
        old = array_of(members[name])
        with np.errstate(all="ignore"):
            filled = np.resize(np.r_[value, old.ravel()[1:].astype(float)], old.shape if shape is None else shape)
            filled = np.nan_to_num(filled) if np.dtype(dtype or old.dtype).kind in "iu" else filled
            filled = np.zeros(filled.shape, dtype) if dtype == "V4" else _cast(filled, dtype or old.dtype)
        members[name] = npy_of(filled)
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


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("scale", SCALES)
def test_forged_files(good, tmp_path, scale):
    """A file that says what no save would say, with the right checksums."""
    _, members, _ = good
    run(forgeries(), lambda forgery: forged(members, forgery), 300 * scale, tmp_path / "model", None)
