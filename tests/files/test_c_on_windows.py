"""Exported C on Windows: by MinGW and Wine, and as Microsoft's compiler reads it."""

import re
import shutil
import subprocess

import numpy as np
import pytest
from bits import assert_same_bits_or_nan
from exported import EVERYTHING, NETWORKS
from in_c import NUMBERS, WARNINGS, needs_cc
from test_to_c import drawn

from fastnn import TabularRegressor, predict
from fastnn.files.export import Model, export

MINGW = "x86_64-w64-mingw32-gcc"
needs_wine = pytest.mark.skipif(
    not all(map(shutil.which, (MINGW, "wine"))),
    reason="apt-get install gcc-mingw-w64-x86-64 wine64 wine: not all are here",
)

DRIVER = """
#include <stdio.h>
#include "net.h"
int main(void) {
    static ROW x[NET_N_INPUTS], out[NET_N_OUTPUTS];
    FILE *rows = fopen("rows", "rb"), *outputs = fopen("outputs", "wb");
    while (fread(x, sizeof x, 1, rows) == 1) {
        net_predict(x, out);
        fwrite(out, sizeof out, 1, outputs);
    }
    return fclose(outputs);
}
"""


def outputs_on_windows(folder, X):
    """The outputs for rows (n, n_inputs) of the exported net.c in a folder."""
    (folder / "driver.c").write_text(DRIVER.replace("ROW", NUMBERS[X.dtype.name]))
    X.tofile(folder / "rows")
    command = [MINGW, *WARNINGS, "-O2", "-ffp-contract=off", "-mfma", "driver.c", "net.c"]
    subprocess.run([*command, "-o", "driver.exe"], cwd=folder, check=True)
    subprocess.run(["wine", "driver.exe"], cwd=folder, check=True, capture_output=True)
    return np.fromfile(folder / "outputs", X.dtype)


@needs_wine
@pytest.mark.parametrize("network", [EVERYTHING, NETWORKS["parameters"]], ids=str)
def test_a_network_has_the_bits_of_predict(network, dtype, tmp_path):
    """On rows of all sizes and on special values."""
    params, X = drawn(network, dtype, 2000)
    export(Model(network, params), tmp_path / "net.c")
    right = predict(network, params, X, assume_finite=True)
    assert_same_bits_or_nan(outputs_on_windows(tmp_path, X), right.ravel())


@needs_wine
def test_a_model_of_a_table_has_the_bits_of_predict(tmp_path):
    pytest.importorskip("sklearn")
    X = np.random.RandomState(0).uniform(-1, 1, (60, 3))
    X[::7, 1] = np.nan
    model = TabularRegressor("fast", n_members=2, random_state=0).fit(X, np.sin(X[:, 0]))
    model.export(tmp_path / "net.c")
    assert_same_bits_or_nan(outputs_on_windows(tmp_path, X), model.predict(X))


@pytest.fixture
def source(tmp_path):
    params, _ = drawn(EVERYTHING, np.float64, 1)
    path, _ = export(Model(EVERYTHING, params), tmp_path / "net.c")
    return path


@pytest.mark.skipif(shutil.which(MINGW) is None, reason=f"apt-get install: no {MINGW}")
def test_without_the_instruction_mingw_is_refused(source):
    """The fma of its library rounds a product before it adds."""
    done = subprocess.run([MINGW, "-c", source.name], cwd=source.parent, capture_output=True)
    assert done.returncode != 0
    assert b"compile with -mfma" in done.stderr


@needs_cc
def test_microsofts_compiler_reads_no_word_that_it_lacks(source):
    """Without /std:c11 it has no `restrict`; /fp:fast is refused. Its names are defined here."""
    as_microsofts = ["cc", "-E", "-P", "-U__STDC_VERSION__", "-D_MSC_VER=1900", source.name]
    options = {"cwd": source.parent, "capture_output": True, "text": True}
    text = subprocess.run(as_microsofts, check=True, **options).stdout
    assert len(re.findall(r"\b__restrict\b", text)) > 4
    assert re.findall(r"\brestrict\b", text) == []
    refused = subprocess.run([*as_microsofts, "-D_M_FP_FAST"], **options)
    assert refused.returncode != 0
    assert "compile without -ffast-math" in refused.stderr
