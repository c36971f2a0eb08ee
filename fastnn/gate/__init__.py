"""The performance gate: is one program slower than another?

It is independent of neural networks: a side is any command that prints JSON in the format of ``fastnn bench --json -``.
`samples` runs one and reads what it prints, `statistics` has intervals and verdicts, `compare` runs both sides.
"""

from fastnn.gate.measure import measure

__all__ = ["measure"]
