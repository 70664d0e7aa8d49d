"""What a frozen network computes for each image, kept on disk or in memory, and trained on."""
