"""What follows a response."""
