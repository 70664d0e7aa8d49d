"""Translators, fitted in closed form."""
