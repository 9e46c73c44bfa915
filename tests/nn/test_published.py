"""The published layout, rebuilt here from its description, against our networks."""

from functools import partial

import pytest
import torch
from torch import nn

from aucond import AttentionGenerator, ConvRegressionHead, PatchCritic, from_published_state_dict


class LayoutResidual(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.main = nn.Sequential(
            nn.Conv2d(channels, channels, 3, 1, 1, bias=False),
            nn.InstanceNorm2d(channels, affine=True),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, 1, 1, bias=False),
            nn.InstanceNorm2d(channels, affine=True),
        )

    def forward(self, x):
        return x + self.main(x)


class LayoutGenerator(nn.Module):
    """Planes concatenated to the image, two heads, keep-mask."""

    def __init__(self, width, dim, blocks):
        super().__init__()

        def stage(convolution, channels):
            return [convolution, nn.InstanceNorm2d(channels, affine=True), nn.ReLU()]

        self.main = nn.Sequential(
            *stage(nn.Conv2d(3 + dim, width, 7, 1, 3, bias=False), width),
            *stage(nn.Conv2d(width, 2 * width, 4, 2, 1, bias=False), 2 * width),
            *stage(nn.Conv2d(2 * width, 4 * width, 4, 2, 1, bias=False), 4 * width),
            *[LayoutResidual(4 * width) for _ in range(blocks)],
            *stage(nn.ConvTranspose2d(4 * width, 2 * width, 4, 2, 1, bias=False), 2 * width),
            *stage(nn.ConvTranspose2d(2 * width, width, 4, 2, 1, bias=False), width),
        )
        self.img_reg = nn.Sequential(nn.Conv2d(width, 3, 7, 1, 3, bias=False), nn.Tanh())
        self.attetion_reg = nn.Sequential(nn.Conv2d(width, 1, 7, 1, 3, bias=False), nn.Sigmoid())
        for module in self.modules():
            if isinstance(module, nn.InstanceNorm2d):
                nn.init.normal_(module.weight, 1.0, 0.3)
                nn.init.normal_(module.bias, 0.0, 0.3)

    def forward(self, image, condition):
        planes = condition[:, :, None, None].expand(-1, -1, *image.shape[2:])
        features = self.main(torch.cat([image, planes], 1))
        color, keep = self.img_reg(features), self.attetion_reg(features)
        return keep * image + (1 - keep) * color, color, keep


class LayoutCritic(nn.Module):
    def __init__(self, width, dim, layers, size):
        super().__init__()
        widths = [3] + [width * 2**i for i in range(layers)]
        stages = []
        for narrow, wide in zip(widths[:-1], widths[1:], strict=True):
            stages += [nn.Conv2d(narrow, wide, 4, 2, 1), nn.LeakyReLU(0.01)]
        self.main = nn.Sequential(*stages)
        self.conv1 = nn.Conv2d(widths[-1], 1, 3, 1, 1, bias=False)
        self.conv2 = nn.Conv2d(widths[-1], dim, size // 2**layers, bias=False)

    def forward(self, image):
        features = self.main(image)
        return self.conv1(features), self.conv2(features)


@pytest.mark.parametrize("prefix", ["", "module."])
def test_published_generator_converts_exactly(prefix):
    torch.manual_seed(3)
    published = LayoutGenerator(6, 17, blocks=2).double()
    ours = AttentionGenerator(17, 6, 2, 2, conditioning="planes", decoder="transposed").double()
    state = {prefix + name: weight for name, weight in published.state_dict().items()}
    ours.load_state_dict(from_published_state_dict(state, ours))
    image = torch.rand(2, 3, 24, 32, dtype=torch.float64) * 2 - 1
    condition = torch.rand(2, 17, dtype=torch.float64)
    edited, color, keep = published(image, condition)
    output = ours(image, condition)
    torch.testing.assert_close(output.image, edited, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(output.color, color, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(output.attention, 1 - keep, rtol=1e-10, atol=1e-10)


def test_published_critic_converts_exactly():
    torch.manual_seed(4)
    published = LayoutCritic(4, 17, layers=4, size=32)
    head = partial(ConvRegressionHead, out_features=17, kernel_size=2)
    ours = PatchCritic({"condition": head}, base_channels=4, num_layers=4)
    ours.load_state_dict(from_published_state_dict(published.state_dict(), ours))
    image = torch.rand(1, 3, 32, 32)
    score, condition = published(image)
    output = ours(image)
    torch.testing.assert_close(output.score, score)
    torch.testing.assert_close(output.predictions["condition"], condition.flatten(1))


def test_full_size_layout_is_the_published_one():
    network = AttentionGenerator(17, conditioning="planes", decoder="transposed")
    with torch.device("meta"):
        layout = LayoutGenerator(64, 17, blocks=6)
    assert sum(p.numel() for p in layout.parameters()) == sum(p.numel() for p in network.parameters())


def test_what_does_not_fit_says_so():
    published = LayoutGenerator(4, 17, blocks=1).state_dict()
    right = {"base_channels": 4, "num_residual_blocks": 1, "conditioning": "planes", "decoder": "transposed"}
    network = AttentionGenerator(17, **right)
    with pytest.raises(ValueError, match="network: expected the published form"):
        from_published_state_dict(published, AttentionGenerator(17, 4, 2, 1))
    with pytest.raises(
        ValueError, match=r"state\['main.0.weight'\]: expected shape \(4, 19, 7, 7\).*got \(4, 20, 7, 7\)"
    ):
        from_published_state_dict(published, AttentionGenerator(16, **right))
    with pytest.raises(ValueError, match="state: missing 'main.0.weight' of the published layout"):
        from_published_state_dict({k: v for k, v in published.items() if k != "main.0.weight"}, network)
    with pytest.raises(ValueError, match="state: unexpected 'extra'"):
        from_published_state_dict(published | {"extra": torch.zeros(1)}, network)
    with pytest.raises(ValueError, match="one head 'condition', a ConvRegressionHead"):
        from_published_state_dict({}, PatchCritic({"condition": 17}, base_channels=4))
    with pytest.raises(
        TypeError, match="network: expected an AttentionGenerator or a PatchCritic, got Linear"
    ):
        from_published_state_dict({}, nn.Linear(2, 2))
