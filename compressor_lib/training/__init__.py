"""Training of whole networks: the reference model and the compressed model."""
