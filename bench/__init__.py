"""What is measured, each with its control."""
