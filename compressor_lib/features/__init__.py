"""Features of a frozen network, kept in memory or on disk, and training on them."""
