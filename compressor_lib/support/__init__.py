"""What the other rooms need of Python and of the machine."""
