"""The benchmarks that asv follows from commit to commit; asv imports every module of this folder.

They use the public interface only, so that they run on old commits too; where an old one lacks something, asv skips.
"""

import os
import tempfile

# asv installs one commit over the other in the same environment, so each gets a kernel cache of its own: no commit
# is timed with another one's machine code. The folder must be known before the first kernel is compiled.
_commit = os.environ.get("ASV_COMMIT")
if _commit and "FASTNN_CACHE_DIR" not in os.environ:
    _user = os.getuid() if hasattr(os, "getuid") else "user"
    os.environ["FASTNN_CACHE_DIR"] = os.path.join(tempfile.gettempdir(), f"fastnn-asv-{_user}", _commit)
