"""What levels may be in files and exports: texts, or numbers and booleans."""

import itertools
from typing import Any

from fastnn.checking.arguments import shown
from fastnn.tabular.columns import is_number
from fastnn.tabular.preparation import Levels, TablePreparation


def are_plain(levels: Levels) -> bool:
    """Return whether levels are texts, or numbers and booleans, in order and none twice."""
    kinds = {type(level) for level in levels.levels}
    if not (kinds <= {str} or (kinds <= {bool, int, float} and all(map(_is_known, levels.levels)))):
        return False
    in_order = all(a < b for a, b in itertools.pairwise(levels.levels))
    are_two = len(levels.levels) == 2 and not levels.has_rest
    return len(levels.levels) > 0 and in_order and (are_two or not levels.is_one_number)


def _is_known(level: float) -> bool:
    return level == level and is_number(level)


def check_levels(preparation: TablePreparation, done: str) -> None:
    """Raise TypeError for levels that are not plain; `done` is "saved" or "exported"."""
    names: Any = getattr(preparation, "feature_names_in_", None)
    for levels in preparation.levels_:
        if not are_plain(levels):
            name = levels.column if names is None else repr(names[levels.column])
            what = f"its levels, such as {shown(levels.levels[0])}, are neither numbers nor texts"
            way = "make texts of them before fit, by .astype(str)"
            raise TypeError(f"column {name} cannot be {done}: {what}; {way}")
