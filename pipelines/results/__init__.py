"""The results of runs, read from the metadata store and the artifacts."""
