"""Cases that may end their process, in forks of this one: what happens to a fork happens to no
test."""

import contextlib
import faulthandler
import multiprocessing
import os
import signal
import time
import traceback
import warnings

MEMORY = 4 << 30
"""Bytes that a fork may take beyond what this process has."""


def in_forks(case, seeds, each=100, seconds=60):
    """Return what ``case(seed)`` returned, for each seed; or how it ended the process, or that it
    did not end.

    A fork does `each` cases one after the other, so that one which writes where it should not is
    found by the next, in at most `seconds`. The case under way when it ends is the one that is
    blamed; a new fork goes on with the next.
    """
    seeds = list(seeds)
    outcomes = {}
    context = multiprocessing.get_context("fork")
    while block := seeds[:each]:
        reader, writer = context.Pipe(duplex=False)
        fork = context.Process(target=_work, args=(case, block, writer))
        fork.start()
        writer.close()
        words = []
        end = time.monotonic() + seconds
        with contextlib.suppress(EOFError):
            while reader.poll(max(0, end - time.monotonic())):
                words.append(reader.recv())
        if is_late := time.monotonic() >= end:
            fork.kill()
        fork.join()
        if (code := fork.exitcode) or len(words) < len(block):
            how = f"signal: {signal.Signals(-code).name}" if code < 0 else f"exit: {code}"
            words[len(block) - 1 :] = []
            words.append(f"hung: the fork did not end within {seconds} s" if is_late else how)
        outcomes.update(zip(block, words, strict=False))
        seeds = seeds[len(words) :]
    return outcomes


def _work(case, block, writer):
    """Do the cases, each answered by what it returned."""
    _be_quiet_and_small()
    for seed in block:
        try:
            word = case(seed)
        except BaseException:
            word = "error in the test: " + traceback.format_exc()
        writer.send(word)


def _be_quiet_and_small():
    import resource

    faulthandler.disable()
    warnings.simplefilter("ignore")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    with open("/proc/self/statm") as file:
        size = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + MEMORY, resource.RLIM_INFINITY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
