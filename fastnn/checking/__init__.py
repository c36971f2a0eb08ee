"""Functions that check arguments, whatever the network, and raise errors that say what would be right."""
