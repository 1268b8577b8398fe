"""Servers for visitors: each once, and nobody before their turn."""
