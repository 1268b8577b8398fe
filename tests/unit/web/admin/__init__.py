"""Tests of tmpnb/web/admin."""
