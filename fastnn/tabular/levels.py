"""What levels may be in files and exports: texts, or numbers and booleans."""

import itertools

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
    for levels in preparation.levels_:
        if not are_plain(levels):
            what = f"its levels, such as {shown(levels.levels[0])}, are neither numbers nor texts"
            way = "make texts of them before fit, by .astype(str)"
            raise TypeError(
                f"{preparation._named([levels.column])} cannot be {done}: {what}; {way}"
            )


def check_no_words(preparation: TablePreparation, fault: str) -> None:
    """Raise ValueError for columns of words; `fault` says why."""
    if preparation.levels_:
        columns = preparation._named([levels.column for levels in preparation.levels_])
        verb = "hold" if len(preparation.levels_) > 1 else "holds"
        raise ValueError(f"{columns} {verb} words, booleans or categories, and {fault}")
