"""The names of the families of connections, apart from the code that needs Keras."""

from typing import Literal

Family = Literal["published", "rejoining", "truncation", "tail", "all"]
"""See :func:`compressor_lib.cuts.families.searched_connections`."""
