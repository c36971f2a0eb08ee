"""Checks of arguments, both values and arrays; they know no network, and their errors say what would be right."""
