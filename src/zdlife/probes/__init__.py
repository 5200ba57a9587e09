"""What an instance answers when a platform asks how it is."""
