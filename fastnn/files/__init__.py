"""Models in files: saving and loading, without pickle, written whole or not at all."""
