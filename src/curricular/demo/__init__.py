"""The demo: trains an agent by PPO on a family of MiniGrid levels, once per algorithm that chooses the levels."""
