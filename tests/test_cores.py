"""The cores that a process may use: each limit, the least of them, and the reason that is told."""

import concurrent.futures
import functools
import multiprocessing
import os
import re
import threading
import time

import pytest

from fastnn import cores
from fastnn.cores import available_cores


@pytest.fixture(autouse=True)
def machine(monkeypatch, tmp_path):
    """A machine of 16 cores that nothing limits, and a function that adds a file to it."""

    def add(name, text):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    for name in (cores.VARIABLE, *cores.OTHERS):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 16)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(16)), raising=False)
    monkeypatch.setattr(cores, "CGROUPS", tmp_path / "cgroup")
    monkeypatch.setattr(cores, "MOUNTED", tmp_path / "mounted")
    monkeypatch.setattr(cores, "_least_quota", functools.cache(cores._least_quota.__wrapped__))
    return add


def test_all_cores_where_nothing_limits_them():
    assert available_cores() == (16, "all that the machine has")


def test_a_machine_that_does_not_say_has_one(monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert available_cores().number == 1


def test_the_cpus_that_the_process_is_bound_to(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {3, 5, 7})
    assert available_cores() == (3, "the process is bound to 3 of 16 CPUs")


V1, V2 = "3:cpuset:/elsewhere\n2:cpu,cpuacct:/a/b\n1:name=systemd:/a\n", "0::/a/b\n"


@pytest.mark.parametrize(
    ("groups", "files", "number"),
    [
        (V2, {"a/b/cpu.max": "250000 100000\n"}, 2),
        (V2, {"a/b/cpu.max": "max 100000\n"}, 16),
        (V2, {"a/b/cpu.max": "max 100000\n", "a/cpu.max": "400000 100000\n"}, 4),
        (V2, {"cpu.max": "50000 100000\n"}, 1),
        (V2, {"a/b/cpu.max": ""}, 16),
        (V2, {}, 16),
        (V1, {"cpu,cpuacct/a/b/cpu.cfs_quota_us": "799999\n", "cpu,cpuacct/a/b/cpu.cfs_period_us": "100000\n"}, 7),
        (V1, {"cpu,cpuacct/a/b/cpu.cfs_quota_us": "-1\n", "cpu,cpuacct/a/b/cpu.cfs_period_us": "100000\n"}, 16),
        (V1, {"cpu,cpuacct/cpu.cfs_quota_us": "150000\n", "cpu,cpuacct/cpu.cfs_period_us": "50000\n"}, 3),
        (V1, {"cpuset/elsewhere/cpu.cfs_quota_us": "1\n", "cpuset/elsewhere/cpu.cfs_period_us": "1\n"}, 16),
        (V1 + V2, {"cpu.max": "300000 100000\n"}, 3),
    ],
)
def test_quotas_of_cgroups_are_rounded_down(machine, groups, files, number):
    machine("cgroup", groups)
    for name, text in files.items():
        machine(f"mounted/{name}", text)
    found = available_cores()
    assert found.number == number
    assert ("quota" in found.reason) == (number < 16)


@pytest.mark.parametrize("name", [cores.VARIABLE, *cores.OTHERS])
def test_variables_of_the_environment(monkeypatch, name):
    monkeypatch.setenv(name, "3")
    assert available_cores() == (3, f"{name}=3")
    monkeypatch.setenv(name, "300")
    assert available_cores().number == 16


@pytest.mark.parametrize("digits", [30, 5000])
def test_a_number_of_more_digits_than_any_is_none(monkeypatch, digits):
    """Python itself refuses to read thousands of them. Of others' variables such a one is passed over."""
    for name in cores.OTHERS:
        monkeypatch.setenv(name, "9" * digits)
    assert available_cores() == (16, "all that the machine has")
    monkeypatch.setenv(cores.VARIABLE, "9" * digits)
    with pytest.raises(ValueError, match=f"{cores.VARIABLE} must be a whole number from 1 on, not '999") as caught:
        available_cores()
    assert len(str(caught.value)) < 200


def test_the_least_counts(monkeypatch, machine):
    machine("cgroup", V2)
    machine("mounted/cpu.max", "600000 100000\n")
    for name, number in zip((cores.VARIABLE, *cores.OTHERS), (5, 4, 7), strict=True):
        monkeypatch.setenv(name, str(number))
    assert available_cores() == (4, "OMP_NUM_THREADS=4")


def test_variables_take_no_cpu_away(monkeypatch, machine):
    for name in (cores.VARIABLE, *cores.OTHERS):
        monkeypatch.setenv(name, "1")
    assert cores.cpus() == 16
    cores._least_quota.cache_clear()
    machine("cgroup", V2)
    machine("mounted/cpu.max", "600000 100000\n")
    assert cores.cpus() == 6


def test_quotas_are_looked_up_once_for_the_cpus_and_the_affinity_each_time(monkeypatch):
    looked = []
    monkeypatch.setattr(cores, "_quotas", lambda: looked.append("up") or [12.5])
    assert cores.cpus() == 12
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {3, 5}, raising=False)
    assert (cores.cpus(), looked) == (2, ["up"])


def test_openmp_has_a_number_for_each_level(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "6,2")
    assert available_cores().number == 6


@pytest.mark.parametrize("text", ["many", "0", "-1", "1.5"])
def test_what_is_no_number(monkeypatch, text):
    for name in cores.OTHERS:  # what others make of it is theirs
        monkeypatch.setenv(name, text)
    assert available_cores().number == 16
    monkeypatch.setenv(cores.VARIABLE, text)
    wanted = f"the environment variable FASTNN_NUM_THREADS must be a whole number from 1 on, not {text!r}"
    with pytest.raises(ValueError, match=f"^{re.escape(wanted)}$"):
        available_cores()


def test_a_worker_process_has_one():
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as pool:
        assert pool.submit(available_cores).result().number == 1


def test_a_worker_of_joblib_has_one():
    joblib = pytest.importorskip("joblib")
    found = joblib.Parallel(n_jobs=2)(joblib.delayed(available_cores)() for _ in range(2))
    assert [cores.number for cores in found] == [1, 1]


@pytest.mark.parametrize("n_cores", [1, 3])
def test_each_part_is_done_once(monkeypatch, n_cores):
    monkeypatch.setattr(cores, "available_cores", lambda: cores.Cores(n_cores, "told"))
    done, threads = [], set()

    def work(part):
        time.sleep(0.002)
        threads.add(threading.get_ident())
        done.append(part)

    cores.share(work, range(50))
    assert sorted(done) == list(range(50))
    assert len(threads) in range(1, n_cores + 1)
    assert not cores.helpers_at_work()


def test_what_a_helper_fails_at_is_done_again_or_raises(monkeypatch):
    monkeypatch.setattr(cores, "available_cores", lambda: cores.Cores(2, "told"))
    main, done = threading.get_ident(), []

    def work(part):
        time.sleep(0.002)
        if threading.get_ident() != main or part == "bad":
            raise ZeroDivisionError(part)
        done.append(part)

    cores.share(work, range(50))
    assert sorted(done) == list(range(50))
    with pytest.raises(ZeroDivisionError, match="bad"):
        cores.share(work, ["bad", *range(50)])


def test_other_threads_do_all_themselves(monkeypatch):
    monkeypatch.setattr(cores, "borrow", lambda n: [pytest.fail("asked for helpers")] if n else [])
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        pool.submit(cores.share, lambda part: None, range(9)).result()


def test_helpers_of_which_nobody_knows_any_more_are_given_back(no_helpers):
    """As when a signal's handler raises an exception before they are given back."""
    helpers = cores.borrow(2)
    names = set(helpers)
    assert cores.helpers_at_work() == 2
    del helpers
    assert not cores.helpers_at_work()
    assert set(cores._idle) == names


class Taken(list):
    """Idle helpers of which another thread takes the last one first."""

    def pop(self):
        self.clear()
        return super().pop()


def test_an_idle_helper_that_another_thread_takes_first_is_not_waited_for(no_helpers, monkeypatch):
    monkeypatch.setattr(cores, "_idle", Taken(cores.borrow(1)))
    assert len(cores.borrow(1)) == 1
