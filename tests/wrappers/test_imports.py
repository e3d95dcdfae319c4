"""The wrappers are extras: nothing else imports them, and each names what it lacks."""

import pytest

from ..helpers import python


@pytest.mark.parametrize(
    "path", ["metta.cogworks.curriculum", "curricular", "curricular.wrappers.episodes", "curricular.testing"]
)
def test_no_framework_is_imported(path):
    frameworks = "{'gymnasium', 'minigrid', 'pettingzoo', 'psutil', 'pufferlib', 'pyro', 'rich', 'torch'}"
    assert python(f"import {path}, sys; print({frameworks} & sys.modules.keys())") == "set()"


GYMNASIUM = "curricular.wrappers.gymnasium needs Gymnasium: pip install 'curricular[gymnasium]'"
VECTOR = "curricular.wrappers.gymnasium_vector needs Gymnasium: pip install 'curricular[gymnasium]'"
PETTINGZOO = "curricular.wrappers.pettingzoo needs PettingZoo: pip install 'curricular[pettingzoo]'"
TORCHRL = "curricular.wrappers.torchrl needs TorchRL: pip install 'curricular[torchrl]'"
PUFFER = (
    "curricular.wrappers.puffer needs PufferLib: "
    "pip install 'curricular[puffer]' && pip install --no-deps pufferlib-core==3.0.23"
)


@pytest.mark.parametrize(
    ("lacking", "code", "message"),
    [
        ("gymnasium", "import curricular.wrappers.gymnasium", GYMNASIUM),
        ("gymnasium", "import curricular.wrappers.gymnasium_vector", VECTOR),
        ("pettingzoo", "import curricular.wrappers.pettingzoo", PETTINGZOO),
        ("torchrl", "import curricular.wrappers.torchrl", TORCHRL),
        ("pufferlib", "import curricular.wrappers.puffer", PUFFER),
        ("pufferlib", "from metta.cogworks.curriculum import CurriculumEnv", PUFFER),
    ],
)
def test_a_missing_extra_is_named(lacking, code, message):
    attempt = f"import sys\nsys.modules[{lacking!r}] = None\ntry:\n    {code}\n"
    assert python(attempt + "except ImportError as error:\n    print(error)") == message


def test_the_reference_path_has_no_other_names():
    code = "import metta.cogworks.curriculum as path\ntry:\n    path.CurriculumEnw\n"
    assert "no attribute 'CurriculumEnw'" in python(code + "except AttributeError as error:\n    print(error)")
