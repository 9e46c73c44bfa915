import numpy as np
import pytest
import torch

from aucond import AttentionGenerator, ConditionSpace
from aucond.edit import sweep

SPACE = ConditionSpace(["smile", "blink"])


@pytest.mark.parametrize("relative", [False, True])
def test_sweep_moves_only_the_named_component(relative):
    torch.manual_seed(0)
    generator = AttentionGenerator(SPACE, 4, 2, 1, relative=relative)
    image, current = torch.rand(2, 3, 16, 16) * 2 - 1, torch.tensor([[0.1, 0.7], [0.9, 0.2]])
    frames = sweep(generator, image, current, "blink", [0.0, 1.0])
    for value, frame in zip((0.0, 1.0), frames, strict=True):
        target = torch.tensor([[0.1, value], [0.9, value]])
        torch.testing.assert_close(frame, generator.edit(image, target, current).image)
    assert not frames.requires_grad


def test_numbers_of_any_kind_are_values():
    generator = AttentionGenerator(SPACE, 4, 2, 1)
    image, current = torch.zeros(1, 3, 16, 16), torch.zeros(1, 2)
    expected = sweep(generator, image, current, "blink", [0.0, 0.5, 1.0])
    for values in (torch.linspace(0, 1, 3), np.linspace(0, 1, 3, dtype=np.float32), iter([0, 0.5, 1])):
        assert torch.equal(sweep(generator, image, current, "blink", values), expected)


def test_wrong_calls_say_what_is_wrong():
    generator = AttentionGenerator(SPACE, 4, 2, 1)
    image, current = torch.zeros(1, 3, 16, 16), torch.zeros(1, 2)
    with pytest.raises(ValueError, match="did you mean 'smile'"):
        sweep(generator, image, current, "smiel", [0.0])
    with pytest.raises(ValueError, match=r"current: expected .*\(1, 2\)"):
        sweep(generator, image, torch.zeros(2, 2), "smile", [0.0])
    with pytest.raises(ValueError, match="generator: expected one that was built with a ConditionSpace"):
        sweep(AttentionGenerator(2, 4, 2, 1), image, current, "smile", [0.0])
    for values, error, message in [
        ([0.5, 50.0], ValueError, r"values\[1\]: expected a finite number in \[0.0, 1.0\], got 50.0"),
        ([float("nan")], ValueError, r"values\[0\]: expected a finite number in \[0.0, 1.0\], got nan"),
        (["big"], TypeError, r"values\[0\]: expected a finite number in \[0.0, 1.0\], got 'big'"),
        ([], ValueError, "values: expected at least one number, got none"),
    ]:
        with pytest.raises(error, match=message):
            sweep(generator, image, current, "blink", values)
