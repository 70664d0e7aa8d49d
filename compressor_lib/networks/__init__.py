"""Keras graphs, the catalogue of backbones, and class names."""
