"""The configuration: its fields, their values, and its error messages."""
