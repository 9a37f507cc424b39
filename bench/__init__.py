"""What this build does on this machine: `make bench`."""
