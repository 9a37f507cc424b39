"""The command line."""

from appstrate.cli.commands import app as app
