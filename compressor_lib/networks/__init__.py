"""Keras graphs, and what is known of a classifier's outputs."""
