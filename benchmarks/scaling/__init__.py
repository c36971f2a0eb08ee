"""How time and memory of a step grow. One thread, NumPy's BLAS too: set before anything imports NumPy."""

import os

for _name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")
