"""Lists from memory, as an API server would give them: selectors, order, pages. Pure."""
