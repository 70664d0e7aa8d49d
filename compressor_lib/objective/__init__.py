"""What a network costs, and what it is worth."""
