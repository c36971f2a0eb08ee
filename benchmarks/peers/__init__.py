"""fastnn beside the programs that do the same work, timed in turn: ``python -m benchmarks.peers`` in the root."""
