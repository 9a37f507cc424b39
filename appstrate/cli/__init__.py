"""The command line."""

from appstrate.cli.commands import main as main
