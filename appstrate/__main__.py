"""The `appstrate` command."""

from appstrate.cli import main

__all__ = ["main"]


if __name__ == "__main__":
    main()
