"""Tests of tmpnb/system."""
