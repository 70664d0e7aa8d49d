"""What ships, and whether it is good enough."""
