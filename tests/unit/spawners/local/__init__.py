"""Tests of tmpnb/spawners/local."""
