"""The demo: one agent, trained by PPO on a real MiniGrid task family under each way of choosing its tasks."""
