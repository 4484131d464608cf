"""The commands: a file each, imported only when called."""
