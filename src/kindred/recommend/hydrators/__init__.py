"""What is read about the asker and the candidates."""
