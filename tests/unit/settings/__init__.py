"""Tests of tmpnb/settings."""
