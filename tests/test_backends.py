"""The registry of back ends: what is no back end is answered in words that say what would be one."""

import pytest

from fastnn.backends import get_backend
from fastnn.reference import NumpyBackend


@pytest.mark.parametrize("name", ["cuda", "GPU"])
def test_a_gpu_is_answered(name):
    with pytest.raises(ValueError, match=rf"unknown backend '{name}' \(fastnn computes on the CPU only\); one of"):
        get_backend(name)


def test_a_class_in_place_of_a_back_end_is_answered():
    with pytest.raises(TypeError, match=r"is a class, not a back end: say NumpyBackend\(\)"):
        get_backend(NumpyBackend)
