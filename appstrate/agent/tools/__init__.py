"""What an agent can do: files, a shell, and telling the platform."""
