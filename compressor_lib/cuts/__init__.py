"""Cuts of a backbone, and translators that rejoin the rest."""
