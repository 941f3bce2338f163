"""The agent's database: what this host promised, holds and destroyed."""
