"""Tests of tmpnb/core."""
