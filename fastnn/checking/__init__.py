"""Checks of arguments, whatever the network, with errors that say what would be right."""
