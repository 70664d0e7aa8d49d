"""The search space, and the tuner that searches it."""
