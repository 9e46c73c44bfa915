"""A generator whose edits are known: a disc of colour, exactly 0 attention outside it."""

import torch

from aucond import OPENFACE_AUS, AttentionGenerator, PatchCritic
from aucond.edit import FaceEditor
from aucond.ops import mask_blend
from aucond.types import GeneratorOutput


class Painter(AttentionGenerator):
    """Paints a disc around the mouth: its attention is AU12's value, its colour is as bright as AU26 is strong.

    Everywhere else the attention is as small as a sigmoid that says 'keep' gives.
    """

    def __init__(self, relative=False):
        super().__init__(OPENFACE_AUS, 4, 2, 0, relative=relative)

    def forward(self, image, condition):
        smile, jaw = OPENFACE_AUS.index("AU12"), OPENFACE_AUS.index("AU26")
        height, width = image.shape[-2:]
        y, x = torch.meshgrid(torch.linspace(0, 1, height), torch.linspace(0, 1, width), indexing="ij")
        distance = ((x - 0.5).square() + (y - 0.7).square()).sqrt()
        disc = (1.5 - distance / 0.12).clamp(0, 1)
        attention = 0.01 + 0.98 * disc * condition[:, smile, None, None].abs()
        attention = attention[:, None].clamp(0, 1)
        color = (condition[:, jaw, None, None, None] * 2 - 1).expand_as(image)
        return GeneratorOutput(mask_blend(image, color, attention), color, attention)


class Reader(PatchCritic):
    """Reads 0.25 for every component, but for AU12, where it reads the mean brightness."""

    def __init__(self):
        super().__init__({"condition": OPENFACE_AUS}, base_channels=2, num_layers=2)

    def forward(self, image):
        output = super().forward(image)
        reading = torch.full((len(image), 17), 0.25)
        reading[:, OPENFACE_AUS.index("AU12")] = (image.mean((1, 2, 3)) + 1) / 2
        output.predictions["condition"] = reading
        return output


def painting_editor(relative=False, **options):
    return FaceEditor(Painter(relative), Reader(), size=32, **options)
