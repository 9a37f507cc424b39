"""Composition: settings, tiers, boot, HTTP and the command line."""
