"""The build hook of hatchling: a wheel for one platform where FASTNN_WHEEL_KERNELS names its
kernels, else a pure one.

`python ship_kernels.py` makes such a folder; `nox -s build -- wheels` does both.
"""

import json
import os
import pathlib

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

VARIABLE = "FASTNN_WHEEL_KERNELS"


class KernelsHook(BuildHookInterface):
    def initialize(self, version, build_data):
        """Add the folder of kernels, and the tag of the platform that they are for."""
        # "editable" is the other version
        if version != "standard" or not (named := os.environ.get(VARIABLE)):
            return
        folder = pathlib.Path(named)
        manifest = json.loads(folder.joinpath("manifest.json").read_text("utf-8"))["contents"]
        files = ["manifest.json", *(level["file"] for level in manifest["levels"])]
        build_data["force_include"] |= {
            str(folder / name): f"fastnn/kernels/{name}" for name in files
        }
        build_data["sbom_files"] = [str(folder / "fastnn-kernels.cdx.json")]  # as of PEP 770
        glibc = manifest["glibc"].replace(".", "_")
        build_data["tag"] = f"py3-none-manylinux_{glibc}_{manifest['machine']}"
        build_data["pure_python"] = False
