"""The API server's objects as hosts know them: who told the truth, which order of a guest counts, and what is missing."""
