"""Reference pages that are written from the code: commands, settings, conditions. Each module renders one page."""
