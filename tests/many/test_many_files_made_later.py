"""Results of a file are made when they are asked for; damage is found before."""

import numpy as np
import pytest
from model_files import parts_of, write
from same_results import assert_same_result

import fastnn
from fastnn import Adam, ModelFileError, Network, train_many
from fastnn.files import stored

RANDOM = np.random.RandomState(2)
X, Y = RANDOM.rand(23, 3), RANDOM.rand(23, 1)
CASES = {
    "a block": {"seed": range(5), "epochs": [3, 4, 1, 3, 0]},
    "mini-batches": {"seed": range(5), "epochs": 3, "batch_size": 5, "optimizer": Adam(0.01)},
}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "many.npz"


def go(case):
    return train_many(Network((3, 4, 1), "tanh"), X, Y, **CASES[case])


@pytest.mark.parametrize("case", ["a block", "mini-batches"])
def test_results_are_made_when_they_are_asked_for(path, case, monkeypatch):
    """Loading makes one of each kind; what all members have in arrays needs none."""
    many = go(case)
    many.save(path)
    made = []
    right = stored.result_of_rows
    monkeypatch.setattr(stored, "result_of_rows", lambda *parts: made.append(parts) or right(*parts))
    again = fastnn.load(path)
    n_kinds = len(made)
    assert n_kinds < len(many)
    assert again.params.tobytes() == many.params.tobytes()
    assert again.history.loss.tobytes() == many.history.loss.tobytes()
    assert again.predict(X).tobytes() == many.predict(X).tobytes()
    assert (again.stop_reason, again.n_epochs.tolist()) == (many.stop_reason, many.n_epochs.tolist())
    assert len(made) == n_kinds
    assert_same_result(again[3], many[3])
    assert len(made) == n_kinds + 1


@pytest.mark.parametrize("k", range(4))
def test_a_member_with_a_damaged_order_is_refused_whichever_it_is(path, k):
    many = go("mini-batches")
    many.save(path)
    header, arrays = parts_of(path.read_bytes())
    order = arrays["order"].reshape(len(many), -1)
    order[k % len(many), 0] = order[k % len(many), 1]
    write(path, header, arrays)
    with pytest.raises(ModelFileError, match=f"member {k % len(many)}: damaged: its row order is not a permutation"):
        fastnn.load(path)
