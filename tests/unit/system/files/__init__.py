"""Tests of tmpnb/system/files."""
