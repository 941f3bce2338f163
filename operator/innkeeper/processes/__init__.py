"""Each process as a whole: what it starts, in which order, and how it ends."""
