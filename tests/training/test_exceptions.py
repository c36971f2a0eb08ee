"""Divergence: the step at which it is noticed, what is raised, and what is left."""

import numpy as np
import pytest
from bits import bits, result_bits, state_bits
from small_training import NETWORK, N, Recorder

from fastnn import SGD, DivergenceError, Stop, train


@pytest.mark.parametrize("batch_size", [None, 5])
def test_divergence(go, batch_size):
    options = {"optimizer": SGD(30.0), "epochs": 300, "batch_size": batch_size}
    stopped = go(**options, stop=Stop(on_divergence="stop"))
    assert stopped.stop_reason == "diverged"
    assert np.isfinite(stopped.state.vectors).all()
    assert np.isfinite(stopped.history.loss).all()
    steps_per_epoch = 5 if batch_size else 1
    assert divmod(stopped.state.t, steps_per_epoch) == (stopped.n_epochs, stopped.state.batch)
    with pytest.raises(DivergenceError) as error:
        go(**options)
    assert result_bits(error.value.result) == result_bits(stopped)
    place = f"step {stopped.state.t} (epoch {stopped.n_epochs}, batch {stopped.state.batch}, all counted from 0)"
    assert place in str(error.value)
    assert "smaller learning rate (here it was 30)" in str(error.value)
    with pytest.raises(DivergenceError) as again:
        go(**options, resume=stopped.state)
    assert place in str(again.value)
    assert state_bits(again.value.result.state) == state_bits(stopped.state)


def test_divergence_at_the_first_step(go):
    result = go(params=np.full(NETWORK.n_params, 1e200), stop=Stop(on_divergence="stop"))
    assert (result.state.t, result.n_epochs, result.stop_reason) == (0, 0, "diverged")
    assert (result.params == 1e200).all()
    index = np.arange(N)
    assert bits(result.state.index) == bits(index)  # as before the shuffle that the step would have needed


def test_a_back_end_that_does_not_repeat_itself_is_found_out(data):
    class Fickle(Recorder):
        def train_steps(self, *args):
            return super().train_steps(*args) - 1

    with pytest.raises(RuntimeError, match="did not repeat its own steps"):
        train(NETWORK, *data, epochs=1, batch_size=5, backend=Fickle())
