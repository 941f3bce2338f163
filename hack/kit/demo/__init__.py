"""Parts of the demo: the tutorial's manifests with their blanks filled, and ways to reach a guest."""
