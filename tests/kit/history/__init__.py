"""Seeded random histories of the whole system in one process, in virtual time; `histories` runs one."""
