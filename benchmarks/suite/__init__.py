"""The benchmarks that asv follows from commit to commit: asv imports the modules of this folder.

The work is that of this tree, whatever the commit, and what it calls is public, so that it runs on
old commits too.
"""

import os
import pathlib
import sys
import tempfile

# asv installs one commit over the other in the same environment, so each gets a kernel cache of its
# own: no commit is timed with another one's machine code. The folder must be known before the first
# kernel is compiled.
_commit = os.environ.get("ASV_COMMIT")
if _commit and "FASTNN_CACHE_DIR" not in os.environ:
    _user = os.getuid() if hasattr(os, "getuid") else "user"
    os.environ["FASTNN_CACHE_DIR"] = os.path.join(
        tempfile.gettempdir(), f"fastnn-asv-{_user}", _commit
    )
os.environ["FASTNN_NUM_THREADS"] = (
    "1"  # for commits that share steps among threads: their history is of one thread
)
sys.path.append(str(pathlib.Path(__file__).parents[2] / "fastnn" / "measuring"))
