import json

import pytest
import torch

from aucond import AttentionGenerator, GeneratorOutput
from aucond.metrics import evaluate_edits, image_euclidean_distance


class HalfWay(AttentionGenerator):
    """Goes half of the way from the source to white."""

    def __init__(self):
        super().__init__(2, 4, 2, 1)

    def edit(self, image, target, current):
        mask = torch.full_like(image[:, :1], 0.5)
        return GeneratorOutput(mask + (1 - mask) * image, torch.ones_like(image), mask)


def test_report_is_the_mean_over_all_images_whatever_the_batch_size():
    source, truth = torch.zeros(5, 3, 16, 16), torch.ones(5, 3, 16, 16)
    current, target = torch.zeros(5, 2), torch.ones(5, 2)

    def reader(image):
        return image.mean((1, 2, 3))[:, None].expand(-1, 2)

    reports = [
        evaluate_edits(HalfWay(), source, current, target, truth, reader=reader, batch_size=size)
        for size in (2, 5)
    ]
    assert reports[0].to_dict() == pytest.approx(reports[1].to_dict())
    report = reports[0]
    assert report.images == 5
    assert report.ied_ratio == pytest.approx(0.25)  # a squared distance at half the difference
    assert report.ied_source == pytest.approx(
        image_euclidean_distance(source, truth, per_pixel=True).mean().item()
    )
    assert (report.attention_mean, report.attention_saturated) == (0.5, 0.0)
    assert report.condition_error_edit == pytest.approx(0.5)
    assert (report.condition_error_source, report.condition_error_truth) == (1.0, 0.0)
    json.dumps(report.to_dict())


def test_wrong_calls_say_what_is_wrong():
    generator = HalfWay()
    image, condition = torch.zeros(2, 3, 16, 16), torch.zeros(2, 2)
    with pytest.raises(ValueError, match="truth: expected"):
        evaluate_edits(generator, image, condition, condition, image[:1])
    with pytest.raises(ValueError, match=r"current: expected .*\(2, 2\)"):
        evaluate_edits(generator, image, condition[:, :1], condition, image)
    with pytest.raises(ValueError, match="target: expected"):
        evaluate_edits(generator, image, condition, condition[:1], image)
    with pytest.raises(ValueError, match="batch_size: expected an integer at least 1"):
        evaluate_edits(generator, image, condition, condition, image, batch_size=0)


def judged(generator, reader):
    blank, condition = torch.zeros(3, 3, 16, 16), torch.zeros(3, 2)
    return evaluate_edits(generator, blank, condition, condition + 1, blank + 0.5, reader=reader)


@pytest.mark.parametrize("columns", [1, 3])
def test_a_reader_of_another_length_is_not_broadcast(columns):
    message = rf"reader\(images\): expected the shape of target, \(3, 2\), got .*{columns}\)"
    with pytest.raises(ValueError, match=message):
        judged(HalfWay(), lambda images: torch.zeros(len(images), columns))
    with pytest.raises(ValueError, match=r"reader\(images\): expected a floating tensor of shape \(3, D\)"):
        judged(HalfWay(), lambda images: torch.zeros(2))


def test_networks_are_judged_in_evaluation_mode_and_left_as_they_were():
    torch.manual_seed(0)
    reader = torch.nn.Sequential(torch.nn.BatchNorm2d(3), torch.nn.Flatten(), torch.nn.Linear(768, 2))
    before = {name: value.clone() for name, value in reader.state_dict().items()}
    generator = HalfWay().train()
    next(generator.children()).eval()
    modes = [module.training for module in generator.modules()]
    first, again = (judged(generator, reader) for _ in range(2))
    assert first == again and reader.training
    assert all(torch.equal(before[name], value) for name, value in reader.state_dict().items())
    with pytest.raises(ValueError, match="reader"):
        judged(generator, lambda images: torch.zeros(1, 1))
    assert [module.training for module in generator.modules()] == modes
