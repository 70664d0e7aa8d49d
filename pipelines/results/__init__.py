"""What a run has made, read from its metadata store and its artifacts."""
