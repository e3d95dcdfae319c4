"""The bench: compares algorithms as teachers of the same simulated learners."""
