"""The stopwatch: samples in turn, ratios, processes, tables."""

import pytest

from benchmarks import texts
from fastnn.measuring import starting, timing


def test_interleaved_takes_turns_after_a_warm_up_and_each_begins_a_round():
    calls = []
    functions = {"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}
    found = timing.interleaved(functions, {"a": 1, "b": 10}, rounds=3)
    assert calls == ["a", "b", "a", "b", "b", "a", "a", "b"]
    assert [len(samples) for samples in found.values()] == [3, 3]
    asked = []
    asks = {title: lambda title=title: asked.append(title) or len(asked) for title in "ab"}
    assert len(timing.in_turn(asks, 9, most_seconds=-1)["a"]) == 3
    assert timing.in_turn({"a": lambda: 1.0, "b": lambda: 3.0}, 4, most=2) == {
        "a": [1.0] * 3,
        "b": [3.0],
    }


def test_a_process_of_its_own_tells_time_memory_and_output_or_why_it_failed():
    process = timing.in_process("print('hello'); x = bytearray(80_000_000)", {"FASTNN_TEST": "1"})
    assert process.output == "hello\n"
    assert process.seconds > 0
    assert process.peak_bytes is None or 80e6 < process.peak_bytes < 300e6
    with pytest.raises(RuntimeError, match="ValueError: so it is"):
        timing.in_process("raise ValueError('so it is')")


def test_ratios_are_by_rounds_and_numbers_are_texts():
    assert timing.ratio([2.0, 20.0, 2.0, 9.0], [1.0, 10.0, 1.0]) == timing.Interval(2, 2, 2)
    assert str(timing.Interval(1.234, 12.34, 1234)) == "12.3 (1.23–1,234)"
    assert [timing.digits(number) for number in (0.123, 12.34, 1234.5)] == ["0.12", "12.3", "1,234"]
    assert texts.times_text([2e-6, 3e-6, 4e-6]) == "3.00 µs (2.50–3.50)"
    assert texts.times_text([]) == ""
    assert timing.quartiles([1.0, 2.0, 3.0]) == (1.5, 2, 2.5)
    assert timing.quartiles([1.0, 2.0, 9.0]).spread == pytest.approx((5.5 - 1.5) / 2)
    assert timing.markdown(["a", "b"], [["1", "2"]], right="1").splitlines() == [
        "| a | b |",
        "|---|---:|",
        "| 1 | 2 |",
    ]


def test_compile_times_are_by_entry_point_cold_and_warm(monkeypatch):
    """The warm process finds what the cold one has left."""
    folders = []

    def fake(code, environment):
        folders.append(environment["FASTNN_CACHE_DIR"])
        return timing.in_process("print(1.0, 2.0, 3.0)")

    monkeypatch.setattr(starting, "in_process", fake)
    cold, warm = starting.compile_seconds("float32", 2)
    assert cold == warm == [[1.0, 2.0, 3.0]] * 2
    assert folders[0] == folders[1] != folders[2] == folders[3]
