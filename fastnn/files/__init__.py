"""Models in files, saved, loaded and exported, without pickle, written whole or not at all; and
pictures in files.
"""
