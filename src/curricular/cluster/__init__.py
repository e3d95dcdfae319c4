"""One curriculum over a cluster: a hub decides, nodes cache, a journal remembers. No framework, no threads."""
