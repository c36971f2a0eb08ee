"""The peers' processes, seen from the one that times: start, ask, take turns."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

from benchmarks.readme import ROOT

TUNING = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE", "OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
"""Variables that would hold a peer back (or help it); a lane begins without them."""


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
    """A peer in a process of its own, of its module in this folder, with `extra` variables, or on one core only.

    Where something is missing, making it raises a `MissingError` that names it.
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
    asks: Mapping[str, Callable[[], float]], rounds: int, most_seconds: float = float("inf"), most: float = float("inf")
) -> dict[str, list[float]]:
    """Ask all once, then all again, and so on, so that a slow moment of the machine hits all of them.

    Each begins a round in turn, for whoever comes after a pause is slower. After `most_seconds` no new round begins,
    but for the first three; whoever has taken more than `most` seconds is asked no more.
    """
    stop, titles = time.perf_counter() + most_seconds, list(asks)
    samples: dict[str, list[float]] = {title: [] for title in titles}
    for done in range(rounds):
        if done >= 3 and time.perf_counter() > stop:
            break
        begin = done % max(len(titles), 1)
        for title in titles[begin:] + titles[:begin]:
            if sum(samples[title]) <= most:
                samples[title].append(asks[title]())
    return samples
