"""The cores that a process may use: each limit, the least of them, and the reason that is told."""

import functools
import multiprocessing
import os
import threading
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import pytest

from fastnn import cores
from fastnn.cores import available_cores

VARIABLES = (cores.VARIABLE, *cores.OTHERS)
ALL_OF_THEM = (16, "all that the machine has")


@pytest.fixture(autouse=True)
def machine(monkeypatch, tmp_path):
    """A machine of 16 cores that nothing limits, and a function that adds a file to it."""

    def add(name, text):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 16)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(16)), raising=False)
    monkeypatch.setattr(cores, "CGROUPS", tmp_path / "cgroup")
    monkeypatch.setattr(cores, "MOUNTED", tmp_path / "mounted")
    monkeypatch.setattr(cores, "_least_quota", functools.cache(cores._least_quota.__wrapped__))
    return add


def test_cores_of_the_machine_and_of_the_process(monkeypatch):
    assert available_cores() == ALL_OF_THEM
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {3, 5, 7})
    assert available_cores() == (3, "the process is bound to 3 of 16 CPUs")
    monkeypatch.setattr(os, "cpu_count", lambda: None)  # a machine that does not say has one
    assert available_cores().number == 1


V1 = "3:cpuset:/elsewhere\n2:cpu,cpuacct:/a/b\n1:name=systemd:/a\n"
V2 = "0::/a/b\n"


def quota(folder, microseconds, period=100000):
    """The files of version 1."""
    return {
        f"{folder}/cpu.cfs_quota_us": f"{microseconds}\n",
        f"{folder}/cpu.cfs_period_us": f"{period}\n",
    }


@pytest.mark.parametrize(
    ("groups", "files", "number"),
    [
        (V2, {"a/b/cpu.max": "250000 100000\n"}, 2),
        (V2, {"a/b/cpu.max": "max 100000\n"}, 16),
        (V2, {"a/b/cpu.max": "max 100000\n", "a/cpu.max": "400000 100000\n"}, 4),
        (V2, {"cpu.max": "50000 100000\n"}, 1),
        (V2, {"a/b/cpu.max": ""}, 16),
        (V2, {}, 16),
        (V1, quota("cpu,cpuacct/a/b", 799999), 7),
        (V1, quota("cpu,cpuacct/a/b", -1), 16),
        (V1, quota("cpu,cpuacct", 150000, 50000), 3),
        (V1, quota("cpuset/elsewhere", 1, 1), 16),
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


@pytest.mark.parametrize("name", VARIABLES)
def test_variables_of_the_environment(monkeypatch, name):
    monkeypatch.setenv(name, "3")
    assert available_cores() == (3, f"{name}=3")
    monkeypatch.setenv(name, "300")
    assert available_cores().number == 16


@pytest.mark.parametrize("text", ["many", "0", "-1", "1.5", "9" * 30, "9" * 5000])
def test_what_is_no_number(monkeypatch, text):
    """Python itself refuses to read thousands of digits. What others make of their variables is
    theirs."""
    for name in cores.OTHERS:
        monkeypatch.setenv(name, text)
    assert available_cores() == ALL_OF_THEM
    monkeypatch.setenv(cores.VARIABLE, text)
    wanted = (
        f"^the environment variable FASTNN_NUM_THREADS must be a whole number from 1 on, not "
        f"{text!r:.50}$"
    )
    with pytest.raises(ValueError, match=wanted) as caught:
        available_cores()
    assert len(str(caught.value)) < 200


def test_the_least_counts_and_variables_take_no_cpu_away(monkeypatch, machine):
    for name in VARIABLES:
        monkeypatch.setenv(name, "1")
    assert cores.cpus() == 16
    cores._least_quota.cache_clear()
    machine("cgroup", V2)
    machine("mounted/cpu.max", "600000 100000\n")
    assert cores.cpus() == 6
    # of OpenMP's numbers, the first level's counts
    for name, number in zip(VARIABLES, ("5", "4,2", "7"), strict=True):
        monkeypatch.setenv(name, number)
    assert available_cores() == (4, "OMP_NUM_THREADS=4")


def test_quotas_are_looked_up_once_for_the_cpus_and_the_affinity_each_time(monkeypatch):
    looked = []
    monkeypatch.setattr(cores, "_quotas", lambda: looked.append("up") or [12.5])
    assert cores.cpus() == 12
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {3, 5}, raising=False)
    assert (cores.cpus(), looked) == (2, ["up"])


def test_a_worker_process_has_one_and_so_has_one_of_joblib():
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        assert pool.submit(available_cores).result().number == 1
    joblib = pytest.importorskip("joblib")
    found = joblib.Parallel(n_jobs=2)(joblib.delayed(available_cores)() for _ in range(2))
    assert [cores.number for cores in found] == [1, 1]


@pytest.mark.parametrize("helps", [True, False])
@pytest.mark.parametrize("n_cores", [1, 3])
def test_each_part_is_done_once(monkeypatch, n_cores, helps):
    """What a helper fails at is done again, or raises."""
    monkeypatch.setattr(cores, "available_cores", lambda: cores.Cores(n_cores, "told"))
    main = threading.get_ident()
    done = []
    threads = set()

    def work(part):
        time.sleep(0.002)
        threads.add(threading.get_ident())
        if part == "bad" or not (helps or threading.get_ident() == main):
            raise ZeroDivisionError(part)
        done.append(part)

    cores.share(work, range(50))
    assert sorted(done) == list(range(50))
    assert len(threads) in range(1, n_cores + 1)
    assert not cores.helpers_at_work()
    with pytest.raises(ZeroDivisionError, match="bad"):
        cores.share(work, ["bad", *range(50)])


def test_other_threads_do_all_themselves(monkeypatch):
    monkeypatch.setattr(cores, "borrow", lambda n: [pytest.fail("asked for helpers")] if n else [])
    with ThreadPoolExecutor(1) as pool:
        pool.submit(cores.share, lambda part: None, range(9)).result()


def test_helpers_of_which_nobody_knows_any_more_are_given_back(no_helpers):
    """As when a signal's handler raises an exception before they are given back."""
    helpers = cores.borrow(2)
    names = set(helpers)
    assert cores.helpers_at_work() == 2
    del helpers
    assert not cores.helpers_at_work()
    assert set(cores._idle) == names


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_forked_child_has_helpers_of_its_own(no_helpers):
    """Threads of the parent, idle or lent, are not there."""
    helpers = cores.borrow(1)
    given_back = cores.borrow(1)
    given_back.clear()
    assert cores.helpers_at_work() == len(helpers)
    if not (child := os.fork()):
        helped = threading.Event()
        n_lent = cores.helpers_at_work()
        cores.borrow(1)[0].put(helped.set)
        os._exit(n_lent + (not helped.wait(5)))
    assert os.waitpid(child, 0)[1] == 0


def test_an_idle_helper_that_another_thread_takes_first_is_not_waited_for(no_helpers, monkeypatch):
    taken_first = type("Taken", (list,), {"pop": lambda self: self.clear() or list.pop(self)})
    monkeypatch.setattr(cores, "_idle", taken_first(cores.borrow(1)))
    assert len(cores.borrow(1)) == 1
