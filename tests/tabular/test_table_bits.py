"""The same bits of fitted arrays and members, whatever BLAS and whatever instructions NumPy uses."""

import hashlib
import os

import pytest
from small_tables import FRAME, fit
from survival import python

EXPECTED = {
    "classifier": "69f05057afb3ef11351562f8e35ff088c5bdf7fc8c02e2ec3d619747471d7563",
    "regressor": "028dd5560434db9f61d2b9d81c5ba3a8afdeba2d5018661c77cd1e4b995fd8da",
}


def digests():
    """SHA-256 of what fit sets: the preparation's arrays, and the members' parameters."""
    found = {}
    for kind in EXPECTED:
        model = fit(kind, epochs=2)
        preparation = model.preparation_
        arrays = [getattr(preparation, name) for name in ("centers_", "factors_", "means_", "imputation_")]
        arrays += [preparation.transform(FRAME), *(member.params for member in model.estimators_)]
        found[kind] = hashlib.sha256(b"".join(array.tobytes() for array in arrays)).hexdigest()
    return found


OLD_NUMPY = {"NPY_DISABLE_CPU_FEATURES": "X86_V3 X86_V4 AVX2 FMA3 AVX512F AVX512_SKX"}
ALONE = {"OPENBLAS_CORETYPE": "Haswell"}, {"OPENBLAS_CORETYPE": "Nehalem"}, OLD_NUMPY


@pytest.mark.parametrize(
    "variables",
    [{"OPENBLAS_CORETYPE": "Nehalem"} | OLD_NUMPY, *(pytest.param(v, marks=pytest.mark.slow) for v in ALONE)],
    ids=lambda variables: " ".join(variables.values()),
)
def test_bits_do_not_depend_on_blas_and_instructions(variables):
    code = "import sys; sys.path.append(sys.argv[1]); import test_table_bits; print(test_table_bits.digests())"
    assert python(code, os.path.dirname(__file__), **variables) == [str(EXPECTED)]


def test_bits_are_those_of_this_version():
    """A change of these is a change of bits: it has a new KERNEL_REVISION, or a line in the changelog."""
    assert digests() == EXPECTED
