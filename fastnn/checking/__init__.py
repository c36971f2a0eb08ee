"""Checks of single values and arrays that know no network: bad input gets an error that says what would be right."""
