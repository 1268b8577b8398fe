"""Tests of tmpnb/orchestrator/claims."""
