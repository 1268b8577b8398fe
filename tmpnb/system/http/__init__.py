"""HTTP with limits on time and size, for asking and for answering."""
