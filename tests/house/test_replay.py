"""Replay: what it says of two packages' hashes."""

import numpy as np
import pytest
import replay

REASONS = {"C": "a digit more"}


@pytest.mark.parametrize(
    ("then", "now", "text", "is_fault"),
    [
        ("a", "a", "same", False),
        ("a", "b", "DIFFERS", True),
    ],
)
def test_a_case_that_differs_is_a_fault(then, now, text, is_fault):
    found = replay.compared({"many": then}, {"many": now}, REASONS)
    assert list(found) == [("many", text, is_fault)]


def test_what_is_meant_or_cannot_be_compared_is_told():
    found = replay.compared({"C Adam": "a", "old": "a"}, {"C Adam": "b", "new": "b"}, REASONS)
    said = {name: (text, fault) for name, text, fault in found}
    assert said.pop("C Adam") == ("DIFFERS, as meant: a digit more", False)
    missing = ("not comparable: only one of the two packages has it", False)
    assert said == {"old": missing, "new": missing}


def test_the_commit_and_the_reasons_are_read():
    commit, reasons = replay.meant()
    assert len(commit) >= 7
    assert all(reasons.values())


@pytest.mark.parametrize(
    "other", [["ab", "a"], [np.zeros(3, np.float32)], [np.zeros((1, 3))], [-np.zeros(3)], []]
)
def test_a_digest_sees_type_shape_and_bits(other):
    assert replay.digest(other) != replay.digest([np.zeros(3)])
