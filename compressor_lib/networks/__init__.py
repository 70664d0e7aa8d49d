"""Keras graphs and the catalogue."""
