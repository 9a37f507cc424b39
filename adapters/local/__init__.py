"""In the process and on the disk: product code, and tier 0."""
