"""Tests of tmpnb/commands/doctor."""
