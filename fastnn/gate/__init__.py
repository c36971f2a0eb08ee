"""The performance gate: is one program slower than another? `samples` runs, `statistics` judges, `compare` asks both.

It is independent of neural networks: a side is any command that prints JSON in the format of ``fastnn bench --json -``,
and `samples` says which parts of it are read.
"""

from fastnn.gate.measure import measure

__all__ = ["measure"]
