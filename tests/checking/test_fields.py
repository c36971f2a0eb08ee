"""Fields of frozen dataclasses that are checked."""

from dataclasses import dataclass, field

import numpy as np
import pytest

from fastnn.checking.arguments import COUNT, FLAG, POSITIVE, CheckedFields


@dataclass(frozen=True)
class Checked(CheckedFields):
    n: int = field(metadata=COUNT)
    anything: object = None
    size: float = field(default=1.0, metadata=POSITIVE)
    on: bool = field(default=False, kw_only=True, metadata=FLAG)


def test_fields_become_what_their_checks_return():
    checked = Checked(np.int64(3), "x", np.float32(0.5), on=np.True_)
    assert [*map(type, vars(checked).values())] == [int, str, float, bool]
    assert checked == Checked(3, "x", 0.5, on=True)


@pytest.mark.parametrize(
    ("given", "options", "words"),
    [(0, {}, "n must be at least 1"), (1, {"size": 0}, "size must be greater than 0"), (1, {"on": 1}, "on must be")],
)
def test_an_error_names_the_field(given, options, words):
    with pytest.raises((TypeError, ValueError), match=words):
        Checked(given, **options)


@dataclass(frozen=True)
class OtherDefaults(Checked):
    n: int = 5
    size: int = field(default=2, metadata=COUNT)
    own: int = -1


def test_a_field_defined_anew_keeps_its_check_unless_it_has_another():
    assert type(OtherDefaults(np.int64(3)).n) is int
    assert OtherDefaults(3, np.int64(4)) == OtherDefaults(3, 4)
    for wrong in ({"n": 0}, {"size": 0.5}, {"on": 1}):
        with pytest.raises((TypeError, ValueError), match=f"{next(iter(wrong))} must be"):
            OtherDefaults(**wrong)
