"""The peers' processes, seen from the one that times: start, ask, take turns."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

ROOT = pathlib.Path(__file__).parents[2]
TUNING = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE", "OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
"""Variables that would hold a peer back (or help it); a lane begins without them."""


class Quiet:
    """Waits until nothing else runs on this machine, as long as there is patience left.

    Peers that use every core suffer most from other work, out of proportion: their threads wait for one another.
    """

    LEAST_IDLE = 0.7  # of all cores; the kernel counts in hundredths of a second, so that not all of a short time shows

    def __init__(self) -> None:
        self.patience = 0.0  # seconds, for the whole run
        self.rounds = self.busy = 0

    def wait(self) -> None:
        """Return at a quiet moment, or when patience ends; count how often it was which."""
        self.rounds += 1
        start = time.perf_counter()
        while (busy := self._busy()) and time.perf_counter() - start < self.patience:
            time.sleep(0.2)
        self.busy += busy
        self.patience -= time.perf_counter() - start

    def _busy(self) -> bool:
        """Whether other processes run just now: ours wait to be asked."""
        before = _idle_seconds()
        if before is None:
            return False
        start = time.perf_counter()
        time.sleep(0.05)
        idle = (_idle_seconds() - before) / ((time.perf_counter() - start) * (os.cpu_count() or 1))
        return idle < self.LEAST_IDLE


def _idle_seconds() -> float | None:
    """Seconds that all cores together have been idle; None where the system does not tell."""
    try:
        with open("/proc/uptime") as uptime:
            return float(uptime.read().split()[1])
    except OSError:
        return None


quiet = Quiet()


class MissingError(Exception):
    """The peer is not installed here."""


class UnsupportedError(Exception):
    """The peer cannot do this at all."""


class PeerError(Exception):
    """The peer failed, or gave another answer."""


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The variables of this process without those that tune a library, and with these."""
    return {name: value for name, value in os.environ.items() if name not in TUNING} | dict(extra or {})


class Lane:
    """A peer in a process of its own.

    Parameters
    ----------
    title : str
        What it is called in tables.
    module : str
        Its module in this folder.
    one_core : bool
        Whether it may run on one core only.
    extra : mapping of str to str, optional
        Environment variables.

    Raises
    ------
    MissingError
        With what is missing.
    """

    def __init__(self, title: str, module: str, one_core: bool = False, extra: Mapping[str, str] | None = None) -> None:
        self.title = title
        command = [sys.executable, "-m", "benchmarks.peers.worker", module]
        if one_core and hasattr(os, "sched_setaffinity"):
            one = {max(os.sched_getaffinity(0))}
            command = [sys.executable, "-c", _ON_ONE_CORE.format(cores=one, command=command)]
        self._process = subprocess.Popen(
            command, cwd=ROOT, env=environment(extra), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        try:
            self._answer()
        except MissingError:
            self.close()
            raise

    def ask(self, request: str, **arguments: Any) -> Any:
        """Send a request of `worker.Worker`, and wait for its result."""
        assert self._process.stdin
        self._process.stdin.write(json.dumps([request, arguments]) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> Any:
        assert self._process.stdout
        line = self._process.stdout.readline()
        if not line:
            raise PeerError(f"{self.title}: its process ended with {self._process.wait()}")
        answer = json.loads(line)
        if "missing" in answer:
            raise MissingError(answer["missing"])
        if "unsupported" in answer:
            raise UnsupportedError(answer["unsupported"])
        if "error" in answer:
            raise PeerError(f"{self.title}: {answer['error']}")
        return answer["result"]

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait()


_ON_ONE_CORE = "import os; os.sched_setaffinity(0, {cores}); c = {command}; os.execv(c[0], c)"


def in_turn(
    lanes: Iterable[Lane], ask: Callable[[Lane], float], rounds: int, most_seconds: float = float("inf")
) -> dict[str, list[float]]:
    """Ask all lanes once, then all again, and so on, so that a slow moment of the machine hits all of them.

    After `most_seconds` no new round begins, but for the first three. Each waits for a quiet moment.
    """
    lanes, stop = list(lanes), time.perf_counter() + most_seconds
    samples: dict[str, list[float]] = {lane.title: [] for lane in lanes}
    for done in range(rounds):
        if done >= 3 and time.perf_counter() > stop:
            break
        quiet.wait()
        for lane in rotated(lanes, done):
            samples[lane.title].append(ask(lane))
    return samples


def rotated(lanes: list[Lane], n_done: int) -> list[Lane]:
    """Return the lanes in the order of a round: each begins one in turn, for whoever comes after a pause is slower."""
    begin = n_done % max(len(lanes), 1)
    return lanes[begin:] + lanes[:begin]
