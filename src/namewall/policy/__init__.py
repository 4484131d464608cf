"""What policy means: parse → sanitize → rules → selectors → resolve → compile / decide → explain. Pure."""
