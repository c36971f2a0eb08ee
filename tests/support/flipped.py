"""Damaged bytes."""


def flipped(content, place):
    """Return bytes of which one bit of the byte at `place` is another; which one depends on it."""
    damaged = bytearray(content)
    damaged[place] ^= 1 << place % 8
    return bytes(damaged)
