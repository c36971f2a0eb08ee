"""Stopwatches, workloads and facts about the machine, for command line, tests and benchmarks."""
