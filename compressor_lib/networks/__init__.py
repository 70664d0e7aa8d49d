"""Keras graphs and the catalogue, and what is known of a classifier's outputs."""
