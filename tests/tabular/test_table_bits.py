"""The same bits of fitted arrays and members, whatever BLAS and whatever instructions NumPy
uses."""

import hashlib
import os

import pytest
from small_tables import FRAME, fit
from survival import python

EXPECTED = {
    "classifier": "50e28d0e7afdc66ee135af266e4a64f36319003817f2ea9b624cdee54d6d8cf9",
    "regressor": "0dd46be14b7abd1bab36b6d381dc6a16058db80f3134b196fcae1812d5dad251",
}


def digests():
    """SHA-256 of what fit sets: the preparation's arrays, and the members' parameters."""
    found = {}
    for kind in EXPECTED:
        model = fit(kind, epochs=2)
        preparation = model.preparation_
        arrays = [
            preparation.centers_,
            preparation.factors_,
            preparation.means_,
            *preparation.imputation_,
        ]
        arrays += [preparation.transform(FRAME), *(member.params for member in model.estimators_)]
        found[kind] = hashlib.sha256(b"".join(array.tobytes() for array in arrays)).hexdigest()
    return found


OLD_NUMPY = {"NPY_DISABLE_CPU_FEATURES": "X86_V3 X86_V4 AVX2 FMA3 AVX512F AVX512_SKX"}
ALONE = {"OPENBLAS_CORETYPE": "Haswell"}, {"OPENBLAS_CORETYPE": "Nehalem"}, OLD_NUMPY


@pytest.mark.parametrize(
    "variables",
    [
        {"OPENBLAS_CORETYPE": "Nehalem"} | OLD_NUMPY,
        *(pytest.param(v, marks=pytest.mark.slow) for v in ALONE),
    ],
    ids=lambda variables: " ".join(variables.values()),
)
def test_bits_do_not_depend_on_blas_and_instructions(variables):
    code = (
        "import sys; sys.path.append(sys.argv[1]); import test_table_bits; "
        "print(test_table_bits.digests())"
    )
    assert python(code, os.path.dirname(__file__), **variables) == [str(EXPECTED)]


def test_bits_are_those_of_this_version():
    """A change of these is a change of bits: it has a new KERNEL_REVISION, or a line in the
    changelog."""
    assert digests() == EXPECTED
