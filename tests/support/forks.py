"""Cases that may end their process, in forks of this one: what happens to a fork happens to no test."""

import faulthandler
import json
import os
import select
import signal
import time
import traceback
import warnings

MEMORY = 4 << 30
"""Bytes that a fork may take beyond what this process has."""


def in_forks(case, seeds, each=100, seconds=60):
    """Return what ``case(seed)`` returned, for each seed; or how it ended the process, or that it did not end.

    A fork does `each` cases one after the other, so that one which writes where it should not is found by the next,
    and takes at most `seconds`. The case under way when a fork ends is the one that is blamed; a new fork goes on with
    the next.
    """
    seeds, outcomes = list(seeds), {}
    while seeds:
        block = seeds[:each]
        words, end = _fork(case, block, seconds)
        outcomes.update(zip(block, words, strict=False))
        n_done = len(words)
        if end:
            n_done = min(n_done + 1, len(block))
            outcomes[block[n_done - 1]] = end
        seeds = seeds[n_done:]
    return outcomes


def _fork(case, block, seconds):
    """Do cases in one fork; return what they returned, as far as it came, and how it ended if not well."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.close(reader)
            _work(case, block, writer)
            os._exit(0)
        finally:
            os._exit(1)
    os.close(writer)
    text, end, deadline = b"", "", time.monotonic() + seconds
    while part := _read(reader, deadline):
        text += part
    if part is None:
        os.kill(child, signal.SIGKILL)
        end = f"hung: the fork did not end within {seconds} s"
    os.close(reader)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if code and not end:
        end = f"signal: {signal.Signals(-code).name}" if code < 0 else f"exit: {code}"
    return [json.loads(line) for line in text.split(b"\n")[:-1]], end


def _read(reader, deadline):
    """Return what there is to read; nothing at the end, None when the time is over."""
    left = deadline - time.monotonic()
    if left <= 0 or not select.select([reader], [], [], left)[0]:
        return None
    return os.read(reader, 1 << 16)


def _work(case, block, writer):
    """Do the cases, each answered by one line."""
    _be_quiet_and_small()
    for seed in block:
        try:
            word = case(seed)
        except BaseException:
            word = "error in the test: " + traceback.format_exc()
        os.write(writer, json.dumps(word).encode() + b"\n")


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
