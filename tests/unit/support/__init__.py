"""What tests share, tested itself."""
