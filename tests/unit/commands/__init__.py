"""Tests of tmpnb/commands."""
