"""A guest's life as pure decisions: what its order should say, and what its status should tell."""
