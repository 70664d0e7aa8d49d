"""What can be cut out of a backbone, and how the rest is rejoined."""
