"""Reads examples, finds spans and accesses object stores."""
