"""Packages that `import fastnn` must not bring along."""

HEAVY = {"numba", "llvmlite", "scipy", "sklearn", "matplotlib", "rich", "typer"}
