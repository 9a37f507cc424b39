"""What runs inside a run's process: standard library and h11 only."""
