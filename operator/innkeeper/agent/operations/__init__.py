"""What is done to a guest once: rebooting, pausing, resuming."""
