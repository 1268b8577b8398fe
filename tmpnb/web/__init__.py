"""What browsers and programs ask over HTTP, and what they are answered."""
