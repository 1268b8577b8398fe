"""Tests of tmpnb/commands/load."""
