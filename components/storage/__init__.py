"""Where examples are, how their spans are found, and the stores that hold them."""
