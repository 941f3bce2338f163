"""A file for each subject; each has coroutines that take the machine and what the API server said."""
