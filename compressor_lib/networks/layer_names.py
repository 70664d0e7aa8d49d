"""Names and name prefixes of the layers that this package adds to networks."""

PREPROCESS = "preprocess"
"""The layer that rescales pixels in 0..255 to the backbone's input range."""

POOLING = "top_gap"
DROPOUT = "top_dropout"
HIDDEN = "top_fc1"
CLASSIFIER = "classifier"
"""The layers of a head, in order. The second and third are optional."""

TRANSLATOR_PREFIX = "translator_"
"""Prefix of the names of a translator's layers."""

HEAD = "head"
TAIL = "tail"
"""What a connection has in place of a layer B; no layer is named so."""
