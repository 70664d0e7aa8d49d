"""The search space and the tuners that search it."""
