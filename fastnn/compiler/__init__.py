"""Traced Python to machine code: tracing, vectors, the cache on disk and the loader. It knows no
network.
"""
