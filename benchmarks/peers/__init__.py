"""fastnn beside the programs that do the same work, timed in turn: ``python -m benchmarks.peers``
in the root.

A module by_*.py is a peer. Its `Trainer` of a workload can `train` so many epochs, `learn` on
shuffled rows to tell the labels of others, and make a `predictor` of rows; its `Members` of a job
`train` all, or `train_from` given weights. Where it has `own_rules`, its answers are not those of
the reference.
"""
