"""PPO of TorchRL on CartPole: the curriculum chooses the strength of the force that pushes the cart.

With a weak force, the pole is harder to balance. Four environments step together, and the transform in each of them
asks the same curriculum for a task per episode.
"""

import argparse
from collections.abc import Sequence

import torch
from tensordict.nn import InteractionType, TensorDictModule
from torch import nn
from torchrl.envs import Compose, EnvBase, GymEnv, SerialEnv, StepCounter, TransformedEnv
from torchrl.modules import OneHotCategorical, ProbabilisticActor, ValueOperator
from torchrl.objectives import ClipPPOLoss
from torchrl.objectives.value import GAE

from curricular import Curriculum, Task, UniformConfig
from curricular.wrappers.torchrl import CurriculumTransform

FORCES = [2.0, 5.0, 10.0, 20.0]
NUM_ENVS, NUM_STEPS, MAX_LENGTH = 4, 128, 200
NUM_EPOCHS, NUM_PARTS = 4, 4


def apply(env: EnvBase, tasks: Sequence[Task], _: Sequence[int]) -> None:
    """Sets the force of the environment, which is about to restart."""
    env.unwrapped.force_mag = tasks[0].config


def net(num_outputs: int) -> nn.Module:
    return nn.Sequential(nn.Linear(4, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, num_outputs))


def main() -> None:
    parser = argparse.ArgumentParser(description="Trains PPO of TorchRL with a curriculum of forces.")
    parser.add_argument("--rollouts", type=int, default=20, help=f"rollouts of {NUM_STEPS} steps by {NUM_ENVS}")
    options = parser.parse_args()
    torch.manual_seed(0)
    torch.set_num_threads(1)

    curriculum = Curriculum(FORCES, UniformConfig(score_range=(0, MAX_LENGTH)))

    def make() -> EnvBase:
        transforms = Compose(StepCounter(MAX_LENGTH), CurriculumTransform(curriculum, apply))
        return TransformedEnv(GymEnv("CartPole-v1"), transforms)

    envs = SerialEnv(NUM_ENVS, make)
    envs.set_seed(0)

    logits = TensorDictModule(net(2), in_keys=["observation"], out_keys=["logits"])
    policy = ProbabilisticActor(
        logits,
        in_keys=["logits"],
        distribution_class=OneHotCategorical,
        default_interaction_type=InteractionType.RANDOM,
        return_log_prob=True,
    )
    value = ValueOperator(net(1), in_keys=["observation"])
    advantage = GAE(gamma=0.99, lmbda=0.95, value_network=value)
    loss = ClipPPOLoss(policy, value, entropy_coeff=0.01)
    optimizer = torch.optim.Adam(loss.parameters(), lr=1e-3)

    start = envs.reset()
    for number in range(1, options.rollouts + 1):
        with torch.no_grad():
            batch = envs.rollout(NUM_STEPS, policy, auto_reset=False, tensordict=start, break_when_any_done=False)
            start = envs.maybe_reset(envs.step_mdp(batch[:, -1]))  # episodes continue in the next rollout
            advantage(batch)
        for _ in range(NUM_EPOCHS):
            for part in torch.randperm(NUM_ENVS * NUM_STEPS).chunk(NUM_PARTS):
                losses = loss(batch.reshape(-1)[part])
                total = losses["loss_objective"] + losses["loss_critic"] + losses["loss_entropy"]
                optimizer.zero_grad()
                total.backward()
                optimizer.step()
        if number % 5 == 0 or number == options.rollouts:
            stats = curriculum.stats()
            print(f"{stats['num_completed']:.0f} episodes, mean score {stats['score/mean']:.0f}", flush=True)
    envs.close()


if __name__ == "__main__":
    main()
