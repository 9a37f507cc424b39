"""What stands between a run and the outside, and holds its credentials."""
