"""PPO on MiniGrid in one file. `ppo.py` chooses the level of each episode with a curriculum.

`ppo_plain.py` is the same without it; docs/frameworks.md shows the difference.
"""

import argparse

import gymnasium as gym
import minigrid.wrappers
import numpy as np
import torch
from torch import nn
from torch.distributions import Categorical

from curricular import Curriculum, Task
from curricular.wrappers.gymnasium import TaskEnv
from curricular.wrappers.gymnasium_vector import CurriculumEnv

LEVELS = [
    "MiniGrid-Empty-5x5-v0",
    "MiniGrid-Empty-Random-6x6-v0",
    "MiniGrid-FourRooms-v0",
    "MiniGrid-DoorKey-5x5-v0",
]
NUM_ENVS, NUM_STEPS, NUM_EPOCHS, NUM_BATCHES = 16, 128, 4, 4
LEARNING_RATE, DISCOUNT, TRACE, CLIP = 1e-3, 0.99, 0.95, 0.2
ENTROPY_SHARE, VALUE_SHARE, MAX_GRADIENT = 0.01, 0.5, 0.5


def make(task: Task) -> gym.Env:
    env = gym.make(task.config, max_steps=100)
    return gym.wrappers.FlattenObservation(minigrid.wrappers.ImgObsWrapper(env))


class Agent(nn.Module):
    """A policy and a value over a shared body."""

    def __init__(self, num_inputs: int, num_actions: int) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(num_inputs, 128), nn.Tanh(), nn.Linear(128, 128), nn.Tanh())
        self.policy, self.value = nn.Linear(128, num_actions), nn.Linear(128, 1)

    def forward(self, observations: torch.Tensor) -> tuple[Categorical, torch.Tensor]:
        hidden = self.body(observations / 10)
        return Categorical(logits=self.policy(hidden)), self.value(hidden)[..., 0]


def main() -> None:
    parser = argparse.ArgumentParser(description="Trains an agent by PPO on MiniGrid.")
    parser.add_argument("--steps", type=int, default=100_000, help="environment steps")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.manual_seed(options.seed)
    torch.set_num_threads(1)

    curriculum = Curriculum(LEVELS)
    envs = gym.vector.SyncVectorEnv([lambda: TaskEnv(make, curriculum.peek())] * NUM_ENVS)
    envs = CurriculumEnv(envs, curriculum, apply="task")
    num_inputs = envs.single_observation_space.shape[0]
    agent = Agent(num_inputs, envs.single_action_space.n)
    optimizer = torch.optim.Adam(agent.parameters(), lr=LEARNING_RATE, eps=1e-5)

    observations = torch.zeros(NUM_STEPS, NUM_ENVS, num_inputs)
    actions, log_probs, rewards, values, dones = torch.zeros(5, NUM_STEPS, NUM_ENVS)
    next_observation, _ = envs.reset(seed=options.seed)
    next_done = np.zeros(NUM_ENVS, np.bool_)
    returns, ended = np.zeros(NUM_ENVS), []

    num_iterations = max(1, options.steps // (NUM_STEPS * NUM_ENVS))
    for iteration in range(1, num_iterations + 1):
        for step in range(NUM_STEPS):
            observations[step] = torch.as_tensor(next_observation)
            dones[step] = torch.as_tensor(next_done)
            with torch.no_grad():
                policy, values[step] = agent(observations[step])
                action = policy.sample()
                actions[step], log_probs[step] = action, policy.log_prob(action)
            next_observation, reward, terminated, truncated, _ = envs.step(action.numpy())
            rewards[step] = torch.as_tensor(reward)
            next_done = terminated | truncated
            returns += reward
            ended += returns[next_done].tolist()
            returns[next_done] = 0.0

        # Generalised advantages. A step after a done restarts its environment: it is masked below.
        with torch.no_grad():
            _, next_value = agent(torch.as_tensor(next_observation, dtype=torch.float32))
        advantages, trace = torch.zeros(NUM_STEPS, NUM_ENVS), torch.zeros(NUM_ENVS)
        for step in reversed(range(NUM_STEPS)):
            is_last = step == NUM_STEPS - 1
            is_alive = 1 - (torch.as_tensor(next_done).float() if is_last else dones[step + 1])
            following = next_value if is_last else values[step + 1]
            error = rewards[step] + DISCOUNT * following * is_alive - values[step]
            advantages[step] = trace = error + DISCOUNT * TRACE * is_alive * trace
        targets = (advantages + values)[dones == 0]
        played = [part[dones == 0] for part in (observations, actions, log_probs, advantages)]

        for _ in range(NUM_EPOCHS):
            for batch in torch.randperm(len(targets)).chunk(NUM_BATCHES):
                old_observations, old_actions, old_log_probs, advantage = (part[batch] for part in played)
                policy, value = agent(old_observations)
                ratio = (policy.log_prob(old_actions) - old_log_probs).exp()
                advantage = (advantage - advantage.mean()) / (advantage.std() + 1e-8)
                gain = torch.minimum(ratio * advantage, ratio.clamp(1 - CLIP, 1 + CLIP) * advantage).mean()
                value_loss = (value - targets[batch]).square().mean()
                loss = VALUE_SHARE * value_loss - gain - ENTROPY_SHARE * policy.entropy().mean()
                optimizer.zero_grad()
                loss.backward()
                nn.utils.clip_grad_norm_(agent.parameters(), MAX_GRADIENT)
                optimizer.step()

        if iteration % 5 == 0 or iteration == num_iterations:
            num_steps = iteration * NUM_STEPS * NUM_ENVS
            print(f"{num_steps:>8,} steps, {len(ended)} episodes, return {np.mean(ended[-100:]):.2f}", flush=True)
    envs.close()


if __name__ == "__main__":
    main()
