"""What a request says of who sent it, and what they want."""
