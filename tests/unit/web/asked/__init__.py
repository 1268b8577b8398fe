"""Tests of tmpnb/web/asked."""
