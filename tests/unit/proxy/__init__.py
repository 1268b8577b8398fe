"""Tests of tmpnb/proxy."""
