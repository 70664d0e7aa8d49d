"""Fits translators in closed form."""
