"""The control plane rebuilt, or put right, from what hosts hold: ask, choose, compare, write what is missing."""
