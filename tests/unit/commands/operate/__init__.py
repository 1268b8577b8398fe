"""Tests of tmpnb/commands/operate."""
