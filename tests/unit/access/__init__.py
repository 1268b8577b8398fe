"""Tests of tmpnb/access."""
