"""What tests share: builders, fakes, and ways to run the real things."""
