"""What measures speed: ``python -m benchmarks`` prints the tables."""
