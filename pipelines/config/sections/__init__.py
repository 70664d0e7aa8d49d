"""The sections of a configuration: their fields and valid values."""
