"""Files of many results that are forged, generated: they are refused, or each member is whole.

A member is whole if it passes the checks of a file of its own. 300 files in every run, 15,000 in a slow one.
"""

import json
import re

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
from hostile import NUMBERS, SCALES, Outcomes, bounded_memory
from model_files import parts_of_many, write_many

import fastnn
from fastnn import SGD, Adam, Network, Stop, train_many

RANDOM = np.random.RandomState(2)
X, Y = RANDOM.rand(11, 3), RANDOM.rand(11, 1)
OPTIONS = {
    "networks": [Network((3, 4, 1), "tanh"), Network((3, 2, 1)), Network((3, 4, 1)), Network((3, 4, 1), "tanh")],
    "optimizer": [SGD(0.1), Adam(), SGD(fastnn.cosine(0.1, 9), momentum=0.9), SGD(0.1)],
    "stop": [None, Stop(validation=0.3, patience=1, restore_best=True), Stop(monitor="r2", restore_best=True), None],
    "X": [X, X.astype(np.float32), X, X],
    "epochs": [3, 5, 2, 3],
    "seed": [0, 1, 2, 0],
}
VALUES = [None, True, 0, 1, -1, 3, 11, 21, 2**70, 0.5, -0.0, 1e300, "", "loss", "float32", [], [0.5, 0.5], {}, {"a": 1}]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Headers, tables and arrays of good files: of results, and of networks alone."""
    path, found = tmp_path_factory.mktemp("good") / "many.npz", []
    many = train_many(Y=Y, backend="numpy", **OPTIONS)
    for state in (True, False):
        many.save(path, state=state)
        found.append(parts_of_many(path.read_bytes()))
    return found


def forge(draw, header, table, arrays):
    """Change a header, a table or arrays in one place."""

    def one_of(some):
        return draw(st.sampled_from(sorted(some)))

    kind = one_of(["value", "value", "name", "size", "place", "place", "number", "dtype", "differ"])
    column = one_of(table["facts"])
    name = one_of(arrays)
    if kind == "value":
        values = table["facts"][column]
        values[draw(st.integers(0, len(values) - 1))] = draw(st.sampled_from([*VALUES, *values]))
    elif kind == "name":
        values = table["facts"].pop(column)
        table["facts"][one_of([*table["facts"], "more", "counters.rule_on", "counters.optimizer.more"])] = values
    elif kind == "size":
        sizes = table["sizes"][one_of(table["sizes"])]
        sizes[draw(st.integers(0, len(sizes) - 1))] += draw(st.integers(-1, 1))
        sizes[draw(st.integers(0, len(sizes) - 1))] += draw(st.integers(-1, 1))
    elif kind == "place":
        which = arrays["which"]
        row = draw(st.integers(0, len(which) - 1))
        which[row, draw(st.integers(0, which.shape[1] - 1))] = draw(st.integers(0, int(which[row].max()) + 1))
    elif kind == "number":
        flat = arrays[name].reshape(-1)
        flat[draw(st.integers(0, flat.size - 1))] = np.array(draw(st.sampled_from(NUMBERS))).astype(flat.dtype)
    elif kind == "dtype":
        arrays[name] = arrays[name].astype(one_of(["f4", "f8", "u4", "u1", "i8"]))
    else:
        header["differ"] = header["differ"][::-1]


def load_with_reasons(path):
    """Load; refusals that do not say why are no answer: the checks of one member found nothing wrong then."""
    try:
        return fastnn.load(path)
    except fastnn.ModelFileError as error:
        if re.search(r"member \d+: damaged$", str(error)):
            raise AssertionError("a whole member is refused") from error
        raise


@pytest.mark.parametrize("scale", SCALES)
def test_forged_files_of_many_are_refused_or_each_member_is_whole(files, tmp_path, scale):
    outcomes, path = Outcomes(), tmp_path / "many.npz"

    @hypothesis.settings(max_examples=300 * scale)
    @hypothesis.given(st.data())
    def cases(data):
        header, table, arrays = files[data.draw(st.integers(0, 1))]
        header, table = json.loads(json.dumps([header, table]))
        arrays = {name: array.copy() for name, array in arrays.items()}
        for _ in range(data.draw(st.integers(1, 2))):
            with np.errstate(all="ignore"):
                forge(data.draw, header, table, arrays)
        write_many(path, header, table, arrays)
        with outcomes.call():
            many = load_with_reasons(path)
            for i, (store, place) in enumerate(many._rows):
                store.check(place)
                assert many[i].predict(X, backend="numpy").shape == (11, 1)
            assert len(many.n_epochs) == len(many.params) == len(many)

    with bounded_memory():
        cases()
    outcomes.check(300 * scale)
