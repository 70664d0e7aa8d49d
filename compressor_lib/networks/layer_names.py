"""The names, and parts of names, that layers have in networks made here."""

PREPROCESS = "preprocess"
"""The layer that turns pixels in 0..255 into what the backbone was trained on."""

POOLING = "top_gap"
DROPOUT = "top_dropout"
HIDDEN = "top_fc1"
CLASSIFIER = "classifier"
"""The layers of a head, in their order; the second and the third are optional."""

TRANSLATOR_PREFIX = "translator_"
"""How the names of a translator's layers begin."""

HEAD = "head"
TAIL = "tail"
"""What a connection has in place of a layer B; no layer is named so."""
