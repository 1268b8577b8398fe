"""Tests of tmpnb/web."""
