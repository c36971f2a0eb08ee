"""Stop-watches, named problems and facts about the machine, which the command line, tests and benchmarks share."""
