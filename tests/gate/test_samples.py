"""One run of a command: what is read, and what is refused in a few words."""

import json

import pytest
from gate_samples import MEMORY, ONLINE, START, python

from fastnn import cli
from fastnn import gate as samples
from fastnn.gate import CommandError, Quantity


def test_what_is_read():
    report = {
        "format": 1,
        "cpu": "not read",
        "trainings": [
            {"workload": "digits", "dtype": "float32", "backend": "numba", "seconds": [3.0, 1.0, 2.0], "sizes": [2]},
            {"workload": "online", "seconds": [5]},
        ],
        "starts": [{"what": "first call", "seconds": [0.5]}],
        "memory": [{"what": "peak", "bytes": [100]}],
        "counts": {"kernels compiled": 0},
    }
    values, counts = samples.read(json.dumps(report))
    digits = Quantity("trainings", "digits, float32, numba")
    assert values == {digits: 2.0, ONLINE: 5.0, START: 0.5, MEMORY: 100.0}
    assert counts == {"kernels compiled": 0}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "it printed nothing"),
        ("Traceback", "it begins with 'Traceback'"),
        ("[]", "it is a list"),
        ("{}", '"format" is None, not 1'),
        ('{"format": 2, "counts": {"a": 1}}', '"format" is 2, not 1'),
        ('{"format": 1}', "trainings, starts, memory and counts are all missing or empty"),
        ('{"format": 1, "trainings": 3}', "trainings must be a list, not 3"),
        ('{"format": 1, "trainings": [3]}', r"trainings\[0\] must be a dict, not 3"),
        ('{"format": 1, "trainings": [{"seconds": [1]}]}', r"trainings\[0\].workload must be a str, not None"),
        ('{"format": 1, "starts": [{"what": "a"}]}', r"starts\[0\].seconds must be a list, not None"),
        ('{"format": 1, "starts": [{"what": "a", "seconds": []}]}', r"starts\[0\].seconds is empty"),
        ('{"format": 1, "starts": [{"what": "a", "seconds": [0]}]}', "positive numbers, not 0"),
        ('{"format": 1, "starts": [{"what": "a", "seconds": [NaN]}]}', "positive numbers, not nan"),
        ('{"format": 1, "starts": [{"what": "a", "seconds": [true]}]}', "positive numbers, not True"),
        ('{"format": 1, "counts": {"a": 1.5}}', r"counts\['a'\] must be a whole number, not 1.5"),
        (
            '{"format": 1, "starts": [{"what": "a", "seconds": [1]}, {"what": "a", "seconds": [1]}]}',
            r"starts\[1\] has the name of an earlier one, 'a'",
        ),
        ("[" * 100_000, "nested too deeply"),
        ('{"a":' * 100_000, "nested too deeply"),
        ('{"format": 1, "starts": [{"what": "a", "seconds": [1' + "0" * 400 + "]}]}", "positive numbers, not 1000"),
        ('{"format": 1, "starts": [{"what": "a", "seconds": [' + "9" * 9999 + "]}]}", "[0-9]+ digits"),
        ('{"format": "' + "x" * 10**6 + '"}', '"format" is .x*, not 1'),
        ('{"format": 1, "counts": {"' + "x" * 10**6 + '": "y"}}', "must be a whole number"),
        ('{"format": 1, "trainings": "' + "x" * 10**6 + '"}', "trainings must be a list"),
        ('{"format": 1, "trainings": [{"workload": "a", "seconds": ["' + "x" * 10**6 + '"]}]}', "positive numbers"),
    ],
    ids=lambda value: value[:40],
)
def test_what_is_no_report(text, message):
    """However it was made to hurt: a ValueError of a few words."""
    with pytest.raises(ValueError, match=message) as error:
        samples.read(text)
    assert len(str(error.value)) < 300


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("import sys; print('no such kernel', file=sys.stderr); sys.exit(3)", "ended with 3:\n  no such kernel"),
        ("import sys; print('x' * 10**6, file=sys.stderr); sys.exit(3)", "ended with 3:\n  x"),  # which is cut
        ("print('hello')", r"printed no JSON in the format of `fastnn bench --json -`: .*'hello'"),
    ],
)
def test_a_command_that_fails_or_prints_something_else(code, message):
    command = python("-c", code)
    with pytest.raises(CommandError, match=message) as error:
        samples.run(command)
    assert len(str(error.value)) < len(command) + 400


def test_fastnn_bench_prints_what_the_gate_reads(capsys):
    pytest.importorskip("rich")
    pytest.importorskip("typer")
    with pytest.raises(SystemExit) as end:
        cli.main(["bench", "--quick", "--workload", "seed", "--backend", "numpy", "--json", "-"])
    assert not end.value.code
    values, _ = samples.read(capsys.readouterr().out)
    assert Quantity("trainings", "seed, float64, numpy") in values
