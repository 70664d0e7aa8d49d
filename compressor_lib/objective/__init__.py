"""The costs of a network and the objective of the search."""
