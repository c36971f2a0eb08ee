"""Many trainings on a real local cluster: ``python clusters.py ENGINE N_THREADS`` checks what comes
back.

Engines are loky, dask (a LocalCluster of two workers with so many threads each) and ray (two CPUs).
"""

import contextlib
import os
import signal
import sys
import tempfile
import time
from unittest import mock

import joblib
import numpy as np
import pytest
from bits import assert_same_results

from fastnn import SGD, Adam, Network, Stop, train_many
from fastnn.compiler import loader
from fastnn.cores import available_cores
from fastnn.many import driver
from fastnn.many import engine as engines
from fastnn.reference import NumpyBackend

X, Y = np.split(np.random.RandomState(1).rand(2000, 4), [3], axis=1)
NETWORK = Network((3, 5, 1), "sigmoid", "sigmoid")
FEW = {"rows": np.arange(40)}
CASES = {
    "blocks": {
        "seed": range(60),
        "epochs": [3, 5] * 30,
        "batch_size": 10,
        "optimizer": Adam(0.01),
        **FEW,
    },
    "stop rules": {
        "seed": range(6),
        "epochs": 20,
        "stop": Stop(patience=2, validation=0.2, restore_best=True),
    },
    "reference": {"seed": range(6), "epochs": 3, "batch_size": 500, "backend": "numpy"},
    "one diverges": {
        "seed": range(4),
        "learning_rate": [0.1, 1e308, 0.1, 0.2],
        "optimizer": SGD(),
        "epochs": 3,
        **FEW,
    },
    "one": {"seed": [7], "epochs": 3, **FEW},
}


class KilledOnce(NumpyBackend):
    """The reference, of which the first process that trains is killed in the midst of it."""

    name = "killed"
    __repr__ = object.__repr__

    def __init__(self, path):
        self.path = path

    def train_steps(self, task, state, steps):
        with contextlib.suppress(FileExistsError), open(self.path, "x"):
            os.kill(os.getpid(), signal.SIGKILL)
        assert not task.data.X.flags.writeable  # one copy serves all members of a worker
        return super().train_steps(task, state, steps)


def found_on_a_worker(_):
    """Of a worker, the kernels and whether each was compiled, and how many cores it uses, and
    why."""
    time.sleep(0.05)  # so that each worker gets some of these
    return {
        kernel: origin == loader.COMPILED for kernel, origin in loader.origins.items()
    }, available_cores()


@contextlib.contextmanager
def cluster(name, n_threads):
    """Train on this engine while its cluster runs; give a wait for its workers."""
    if name == "dask":
        from dask.distributed import Client, LocalCluster

        options = {"n_workers": 2, "threads_per_worker": n_threads, "dashboard_address": None}
        with (
            LocalCluster(**options) as local,
            Client(local) as client,
            joblib.parallel_config(name),
        ):
            yield lambda: client.wait_for_workers(2)
    elif name == "ray":
        import ray
        from ray.util.joblib import register_ray

        register_ray()
        ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
        with joblib.parallel_config(name):
            yield list
        ray.shutdown()
    else:
        with joblib.parallel_config(name, n_jobs=2):
            yield list
        joblib.externals.loky.get_reusable_executor().shutdown(wait=True)


def trained(n_jobs=None, **case):
    return train_many(NETWORK, X, Y, n_jobs=n_jobs, **case)


def main(name, n_threads):
    """Check what comes back, and print what was sent."""
    serial = {case: trained(1, **options) for case, options in CASES.items()}
    assert_same_results(trained(3, **CASES["blocks"]), serial["blocks"])
    small_tasks = mock.patch.object(engines, "TASK_SECONDS", 1e-9)
    n_workers = 2 * n_threads
    with cluster(name, n_threads) as wait, tempfile.TemporaryDirectory() as folder:
        assert driver.chosen_engine(None).n_workers == n_workers
        for case, options in CASES.items():
            assert_same_results(trained(**options), serial[case])
        with small_tasks:
            for case in "blocks", "one diverges":
                assert_same_results(trained(**CASES[case]), serial[case])
        ask = joblib.Parallel(n_jobs=n_workers, prefer="threads")
        kernels, cores = zip(
            *ask(joblib.delayed(found_on_a_worker)(i) for i in range(12)), strict=True
        )
        assert not any(compiled for worker in kernels for compiled in worker.values())
        assert any(kernels) or name == "ray"  # whose workers end with each call
        assert {number for number, _ in cores} == {1}
        path = os.path.join(folder, "killed")
        assert_same_results(
            trained(**CASES["reference"] | {"backend": KilledOnce(path)}), serial["reference"]
        )
        assert os.path.exists(path)
        with pytest.raises(ZeroDivisionError):
            trained(**CASES["blocks"], callbacks=[lambda progress: 1 / 0])
        wait()  # else Dask may have a single worker left, and joblib uses none of one
        while driver.chosen_engine(None).n_workers < n_workers:
            time.sleep(0.1)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
