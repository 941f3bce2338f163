"""What a person at the host may ask of its guests: over a socket while the agent runs, else on the store itself."""
