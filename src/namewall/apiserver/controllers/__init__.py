"""What makes the stored objects true: each controller reconciles one kind, over the store, on the server's loop."""
