"""The fused kernel: the network, written in the kernel's language; docs/explanation/kernel.md is a
guide to it.
"""
