"""Results of a file are made when they are asked for; damage is found before."""

import numpy as np
import pytest
from model_files import parts_of, write
from same_results import assert_same_result

import fastnn
from fastnn import Adam, ModelFileError, Network, Stop, train_many
from fastnn.files import many as files

RANDOM = np.random.RandomState(2)
X, Y = RANDOM.rand(23, 3), RANDOM.rand(23, 1)
CASES = {
    "a block": {"seed": range(5), "epochs": [3, 4, 1, 3, 0]},
    "mini-batches": {"seed": range(5), "epochs": 3, "batch_size": 5, "optimizer": Adam(0.01)},
    "stop rules": {"seed": range(5), "epochs": 9, "stop": Stop(validation=0.3, patience=1, restore_best=True)},
    "two dtypes": {"seed": range(4), "epochs": 2, "X": [X, X.astype(np.float32), X, X.astype(np.float32)]},
}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "many.npz"


def go(case):
    return train_many(Network((3, 4, 1), "tanh"), **{"X": X, "Y": Y} | CASES[case])


@pytest.mark.parametrize("case", CASES)
def test_results_are_made_when_they_are_asked_for(path, case, monkeypatch):
    """Loading makes none, nor does what all members have in arrays."""
    many = go(case)
    many.save(path)
    made = []
    right = files.result_of
    monkeypatch.setattr(files, "result_of", lambda *parts: made.append(parts) or right(*parts))
    again = fastnn.load(path)
    assert [params.tobytes() for params in again.params] == [params.tobytes() for params in many.params]
    assert again.history.loss.tobytes() == many.history.loss.tobytes()
    assert again.predict(X).tobytes() == many.predict(X).tobytes()
    assert (again.stop_reason, again.n_epochs.tolist()) == (many.stop_reason, many.n_epochs.tolist())
    assert not made
    assert_same_result(again[3], many[3])
    assert len(made) == 1


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
