"""Tests of tmpnb/system/logs."""
