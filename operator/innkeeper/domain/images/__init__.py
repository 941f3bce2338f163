"""What can be told of a disk image from its bytes alone."""
