"""Build the package for conda of conda/recipe.yaml.

python tests/support/conda_package.py FOLDER [CHANNEL ...]
"""

import pathlib
import sys

from rattler_build import Stage0Recipe

RECIPE = pathlib.Path(__file__).parents[2] / "conda" / "recipe.yaml"


def main(folder: str, *channels: str) -> None:
    for variant in Stage0Recipe.from_file(RECIPE).render():
        result = variant.run_build(output_dir=folder, channels=list(channels) or ["conda-forge"])
        sys.stdout.write(f"{result}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
