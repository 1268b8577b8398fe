"""Tests of tmpnb/system/http."""
