"""
Error curve of the seed network
===============================

The tutorial's network is drawn.
"""

from fastnn import workloads

print(workloads.load("seed"))
