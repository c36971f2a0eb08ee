"""Learning rates that are reduced where scores stand still, and what `ReduceRate` refuses."""

import math

import pytest
from small_training import NETWORK, Recorder

from fastnn import SGD, ReduceRate, Stop, step_decay, train


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"factor": 1.5}, "factor must be greater than 0 and less than 1, not 1.5"),
        ({"factor": 1}, "less than 1"),
        ({"factor": 0}, "greater than 0"),
        ({"factor": "half"}, "factor must be a number"),
        ({"patience": -1}, "patience must be at least 0"),
        ({"patience": 0.5}, "patience must be an integer"),
        ({"least": -0.1}, "least must be at least 0"),
        ({"least": math.nan}, "least must be finite"),
        ({"min_lr": 0.1}, "ReduceRate has no argument 'min_lr'"),
    ],
)
def test_reduce_rate_refuses(options, match):
    with pytest.raises((TypeError, ValueError), match=match):
        ReduceRate(**options)


STILL = {"optimizer": SGD(0.0), "batch_size": None}  # but for the first epoch none improves


def test_a_reduced_rate_goes_on_whatever_the_rules(go):
    """Resuming keeps the least rate, which new rules may change; a schedule below it is left as it is."""
    options = {"optimizer": SGD(1e-200), "batch_size": None, "epochs": 9}
    stop = Stop(reduce=ReduceRate(0.5, 1, least=0.1e-200))
    first = go(**options, stop=stop)
    assert first.history.learning_rate[-1] == 0.1e-200
    more = go(**options | {"optimizer": None}, resume=first.state)
    assert more.history.learning_rate.tolist() == [0.1e-200] * 9
    less = go(**options, resume=more.state, stop=Stop(reduce=ReduceRate(0.5, 99, least=0.0)))
    assert less.history.learning_rate.tolist() == [1e-200 * 0.5**8] * 9
    falling = go(**options | {"optimizer": SGD(step_decay(1e-200, 1))}, stop=stop)
    assert falling.history.learning_rate[:5].tolist() == [1e-200, 0.5e-200, 0.125e-200, 0.1e-200, 0.0625e-200]


def test_a_rate_that_falls_often_does_not_repeat_whole_chunks(data):
    """Chunks end near where the rate falls: at most twice as far is done twice."""
    recorder = Recorder()
    options = {"optimizer": SGD(0.0), "batch_size": None, "epochs": 3000, "seed": 0, "backend": recorder}
    train(NETWORK, *data, **options, stop=Stop(reduce=ReduceRate(0.5, 10)))
    assert sum(recorder.chunks) < 5 * 3000
