"""Tests of tmpnb/visitors."""
