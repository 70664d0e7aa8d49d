"""The configuration: its fields, their values, and what is wrong with a file."""
