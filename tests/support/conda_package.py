"""Build conda/recipe.yaml, and run its tests as installed.

Run ``python tests/support/conda_package.py FOLDER [CHANNEL ...]``.
"""

import pathlib
import sys

from rattler_build import Package, Stage0Recipe

RECIPE = pathlib.Path(__file__).parents[2] / "conda" / "recipe.yaml"


def main(folder: str, *channels: str) -> None:
    named = list(channels) or ["conda-forge"]
    for variant in Stage0Recipe.from_file(RECIPE).render():
        result = variant.run_build(output_dir=folder, channels=named)
        sys.stdout.write(f"{result}\n")
        for path in result.packages:
            results = Package.from_file(path).run_tests(channel=named)
            if not all(result.success for result in results):
                sys.exit("\n".join([f"{path}: a test failed", *results[-1].output]))
            sys.stdout.write("\n".join([*results[-1].output[-3:], ""]))


if __name__ == "__main__":
    main(*sys.argv[1:])
