"""What runs machines: one small interface (`driver`) and its implementations, which do not know each other."""
