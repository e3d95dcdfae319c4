"""Watches a running session in a terminal. The full-screen view needs the extra `watch`."""
