"""The command line. One file for each command; what a command does lies elsewhere."""
