"""The engines that run notebook servers."""
