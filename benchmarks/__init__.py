"""Benchmarks of speed, quality and memory: ``python -m benchmarks`` prints the tables."""
