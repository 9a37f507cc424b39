"""Schedules: when agents run by themselves."""
