"""The benchmarks that asv follows from commit to commit; asv imports every module of this folder.

The work is that of this tree, whatever the commit, and what they call is public, so that they run on old commits too;
where an old one lacks something, asv skips. Before anything is timed, the answer is compared with the reference's.
"""

import os
import pathlib
import sys
import tempfile

# asv installs one commit over the other in the same environment, so each gets a kernel cache of its own: no commit
# is timed with another one's machine code. The folder must be known before the first kernel is compiled.
_commit = os.environ.get("ASV_COMMIT")
if _commit and "FASTNN_CACHE_DIR" not in os.environ:
    _user = os.getuid() if hasattr(os, "getuid") else "user"
    os.environ["FASTNN_CACHE_DIR"] = os.path.join(tempfile.gettempdir(), f"fastnn-asv-{_user}", _commit)
os.environ["FASTNN_NUM_THREADS"] = "1"  # for commits that share steps among threads: their history is of one thread
sys.path.append(str(pathlib.Path(__file__).parents[2] / "fastnn" / "measuring"))

import work  # noqa: E402

BACKENDS = ("numpy", "numba")


class Timed:
    """Settings of every benchmark whose time asv takes."""

    version = "1"  # set by hand: asv's own, a hash of this source, drops the history with every edit
    timeout = 300
    rounds = 2
    repeat = (3, 10, 10.0)  # ten samples at least in two rounds: with fewer asv never speaks of a regression
    warmup_time = 0.2


def checked(name, backend):
    """Work that is compiled and has the right answer; NotImplementedError, so that asv skips, where it is not known."""
    try:
        loaded = work.load(name)
    except KeyError:
        raise NotImplementedError(f"no workload {name!r} in this commit") from None
    work.check(loaded, backend)
    return loaded
