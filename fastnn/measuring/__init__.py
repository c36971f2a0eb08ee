"""Stopwatches, workloads and facts about the machine, shared by command line, tests and benchmarks."""
