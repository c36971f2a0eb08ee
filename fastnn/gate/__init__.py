"""The performance gate: is one program slower than another? `samples` runs, `statistics` judges, `compare` asks both.

It knows nothing of neural networks: a side is any command that prints JSON in the format of ``fastnn bench --json -``,
of which `samples` says what is read.
"""

from fastnn.gate.measure import measure

__all__ = ["measure"]
