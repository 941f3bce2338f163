"""The handlers of the rare kinds, and the only code that imports kopf."""
