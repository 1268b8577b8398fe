"""What is known of an image, and what is copied from it."""
