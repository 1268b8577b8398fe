"""Tests of tmpnb/orchestrator."""
