"""Tests of tmpnb/web/api."""
