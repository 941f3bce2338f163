"""The operator's work: each worker reads a view, asks the domain for a decision, and makes one write."""
