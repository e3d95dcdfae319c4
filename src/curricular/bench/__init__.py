"""The bench: every way of choosing tasks teaches the same simulated learners, and what comes of it side by side."""
