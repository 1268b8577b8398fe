"""Tests of tmpnb/spawners."""
