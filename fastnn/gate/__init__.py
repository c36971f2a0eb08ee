"""The performance gate: is one program slower than another?

It is independent of neural networks: a side is any command that prints JSON in the format of ``fastnn bench --json -``.
`samples` writes and reads that, `compare` runs both sides and judges, `report` shows the result.
"""

from fastnn.gate.samples import measure

__all__ = ["measure"]
