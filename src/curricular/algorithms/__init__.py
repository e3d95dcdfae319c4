"""Ways of choosing tasks, one file each."""
