"""What actors are made with, a module per domain; `tiers` says which of them are chosen."""
