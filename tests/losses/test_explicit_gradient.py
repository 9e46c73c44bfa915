"""The explicit gradient against autograd's double backward: value and parameter gradients to float64 rounding."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm, weight_norm

from aucond.losses import explicit_gradient, gradient_penalty, r1_penalty, why_not_explicit
from aucond.nn import ConvRegressionHead, PatchCritic


def images(batch=2, height=16, width=16, channels=3, dtype=torch.float64):
    rng = torch.Generator().manual_seed(0)
    return torch.randn(batch, channels, height, width, generator=rng, dtype=dtype)


def both(critic, points, penalty=gradient_penalty):
    """Value and parameter gradients by both methods."""
    found = []
    for method in ("autograd", "explicit"):
        critic.zero_grad(set_to_none=True)
        value = penalty(critic, points, method=method)
        value.backward()
        found.append((value.detach(), {n: p.grad for n, p in critic.named_parameters()}))
    return found


def assert_equal(critic, points, penalty=gradient_penalty, tolerance=1e-12):
    (value, grads), (explicit_value, explicit_grads) = both(critic, points, penalty)
    torch.testing.assert_close(explicit_value, value, rtol=tolerance, atol=1e-30)
    for name, grad in grads.items():
        assert (grad is None) == (explicit_grads[name] is None), name
        if grad is not None:
            scale = grad.abs().max().item()
            torch.testing.assert_close(explicit_grads[name], grad, rtol=0, atol=tolerance * scale, msg=name)
    return grads


@pytest.mark.parametrize(
    "heads", [None, {"condition": 5}, {"condition": 5, "pose": 3}], ids=["bare", "one", "two"]
)
@pytest.mark.parametrize("batch", [1, 4])
@pytest.mark.parametrize(("width", "depth"), [(4, 1), (4, 3), (8, 2), (3, 4)])
def test_patch_critic(width, depth, batch, heads):
    torch.manual_seed(0)
    critic = PatchCritic(heads, base_channels=width, num_layers=depth).double()
    grads = assert_equal(critic, images(batch))
    assert grads["score.weight"].abs().max() > 0
    assert all(grad is None for name, grad in grads.items() if name.startswith("heads"))


@pytest.mark.parametrize("size", [(16, 16), (17, 16), (19, 23), (33, 18), (8, 40)], ids=str)
def test_any_size(size):
    torch.manual_seed(0)
    critic = PatchCritic(base_channels=4, num_layers=3).double()
    assert_equal(critic, images(2, *size))
    points = images(2, *size).requires_grad_()
    (expected,) = torch.autograd.grad(critic(points).score.sum(), points)
    torch.testing.assert_close(explicit_gradient(critic, points.detach()), expected, rtol=1e-13, atol=1e-15)


def test_published_head_and_channels_last():
    torch.manual_seed(0)
    head = partial(ConvRegressionHead, out_features=5, kernel_size=2)
    critic = PatchCritic({"condition": head}, base_channels=4, num_layers=3).double()
    critic = critic.to(memory_format=torch.channels_last)
    assert_equal(critic, images(3).contiguous(memory_format=torch.channels_last), r1_penalty)


def test_biases_below_a_unit_get_zeros_and_the_last_one_none():
    torch.manual_seed(0)
    critic = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 2, 3), nn.Conv2d(2, 1, 3)).double()
    grads = assert_equal(critic, images())
    assert torch.equal(grads["0.bias"], torch.zeros(4, dtype=torch.float64))
    assert grads["2.bias"] is None
    assert grads["3.bias"] is None


ODD = {
    "groups": [
        nn.Conv2d(3, 6, 3, groups=3),
        nn.LeakyReLU(0.2),
        nn.Conv2d(6, 2, 3, groups=2),
        nn.Conv2d(2, 1, 1),
    ],
    "dilation": [nn.Conv2d(3, 4, 3, dilation=(2, 3), padding=(1, 4)), nn.ReLU(), nn.Conv2d(4, 1, 3)],
    "unequal": [
        nn.Conv2d(3, 4, (2, 5), stride=(3, 2), padding=(0, 2)),
        nn.LeakyReLU(),
        nn.Conv2d(4, 1, 1, stride=2),
    ],
    "nested": [
        nn.Sequential(nn.Conv2d(3, 4, 3), nn.Sequential(nn.ReLU(), nn.Identity())),
        nn.Conv2d(4, 1, 3),
    ],
    "linear": [nn.Conv2d(3, 4, 3, stride=2), nn.Conv2d(4, 1, 3)],
    "unit_last": [nn.Conv2d(3, 4, 3), nn.LeakyReLU(0.1), nn.Conv2d(4, 1, 3), nn.LeakyReLU(0.3)],
    "unit_first": [nn.LeakyReLU(0.5), nn.Conv2d(3, 1, 3)],
    "in_place": [nn.Conv2d(3, 4, 3), nn.LeakyReLU(0.1, inplace=True), nn.Conv2d(4, 1, 3)],
    "negative_slope_negative": [nn.Conv2d(3, 4, 3), nn.LeakyReLU(-0.5), nn.Conv2d(4, 1, 3)],
}


@pytest.mark.parametrize("name", ODD)
@pytest.mark.parametrize("penalty", [gradient_penalty, r1_penalty])
def test_odd_chains(name, penalty):
    assert_equal(nn.Sequential(*ODD[name]).double(), images(2, 13, 14), penalty)


@settings(max_examples=25, deadline=None)
@given(data=st.data(), seed=st.integers(0, 10**6))
def test_random_chains(data, seed):
    torch.manual_seed(seed)
    pick = partial(st.integers)
    layers, channels = [], 3
    for _ in range(data.draw(pick(1, 4))):
        wide = data.draw(pick(1, 5))
        layers.append(
            nn.Conv2d(
                channels,
                wide,
                (data.draw(pick(1, 3)), data.draw(pick(1, 3))),
                stride=data.draw(pick(1, 3)),
                padding=data.draw(pick(2, 3)),
                dilation=data.draw(pick(1, 2)),
                bias=data.draw(st.booleans()),
            )
        )
        layers.append(data.draw(st.sampled_from([nn.LeakyReLU(0.2), nn.ReLU(), nn.Identity()])))
        channels = wide
    critic = nn.Sequential(*layers, nn.Conv2d(channels, 1, 1)).double()
    assert_equal(critic, images(data.draw(pick(1, 3)), data.draw(pick(5, 11)), data.draw(pick(5, 11))))


@pytest.mark.parametrize("unit", [nn.ReLU(), nn.LeakyReLU(0.3)], ids=repr)
def test_a_unit_at_exactly_zero_takes_autograds_side(unit):
    critic = nn.Sequential(nn.Conv2d(3, 2, 1, bias=False), unit, nn.Conv2d(2, 1, 1)).double()
    points = torch.zeros(1, 3, 2, 2, dtype=torch.float64, requires_grad=True)
    (expected,) = torch.autograd.grad(critic(points).sum(), points)
    torch.testing.assert_close(explicit_gradient(critic, points.detach()), expected)


@pytest.mark.parametrize("wrap", [weight_norm, spectral_norm])
def test_parametrized_weights_pass_their_gradient_on(wrap):
    torch.manual_seed(0)
    critic = nn.Sequential(wrap(nn.Conv2d(3, 4, 3)), nn.LeakyReLU(0.2), wrap(nn.Conv2d(4, 1, 3))).double()
    grads = assert_equal(critic.eval(), images())
    assert any(name.startswith("0.parametrizations.weight") and g is not None for name, g in grads.items())


class TestRefusals:
    POINTS = images(1, 8, 8, dtype=torch.float32)

    class Own(nn.Conv2d):
        def forward(self, value):
            return super().forward(value) + 1

    def hooked(self):
        conv = nn.Conv2d(3, 1, 3)
        conv.register_forward_hook(lambda module, inputs, output: output * 2)
        return conv

    @pytest.mark.parametrize(
        ("layers", "message"),
        [
            (
                [nn.Conv2d(3, 4, 3), nn.Tanh(), nn.Conv2d(4, 1, 3)],
                r"layer 1 is a Tanh: only Conv2d, LeakyReLU",
            ),
            ([nn.Conv2d(3, 4, 3), nn.InstanceNorm2d(4), nn.Conv2d(4, 1, 3)], r"layer 1 is a InstanceNorm2d"),
            ([nn.Sequential(nn.Conv2d(3, 1, 3), nn.PReLU())], r"layer 0\.1 is a PReLU"),
            (
                [nn.Conv2d(3, 1, 3, padding=1, padding_mode="reflect")],
                r"layer 0 is a Conv2d: only zero padding",
            ),
            (
                [nn.Conv2d(3, 1, 3, padding="same")],
                r"layer 0 is a Conv2d: only zero padding given in numbers",
            ),
            ([Own(3, 1, 3)], r"layer 0 is a Own: it overrides the forward"),
            ([nn.Flatten(), nn.Linear(192, 1)], r"layer 0 is a Flatten"),
            ([nn.AvgPool2d(8), nn.Conv2d(3, 1, 1)], r"layer 0 is a AvgPool2d"),
        ],
    )
    def test_names_the_layer_and_auto_falls_back(self, layers, message):
        critic = nn.Sequential(*layers)
        with pytest.raises(
            ValueError, match=r"critic: its gradient cannot be written explicitly: .*" + message
        ):
            gradient_penalty(critic, self.POINTS, method="explicit")
        value = gradient_penalty(critic, self.POINTS)
        torch.testing.assert_close(value, gradient_penalty(critic, self.POINTS, method="autograd"))

    def test_no_convolution_at_all(self):
        assert why_not_explicit(nn.Sequential(nn.ReLU())) == "it has no Conv2d"

    def test_hooks(self):
        assert "has hooks" in why_not_explicit(nn.Sequential(self.hooked()))
        critic = nn.Sequential(nn.Conv2d(3, 1, 3))
        critic.register_forward_pre_hook(lambda module, inputs: inputs)
        assert "has hooks" in why_not_explicit(critic)

    def test_a_plain_callable(self):
        with pytest.raises(
            ValueError, match=r"a function is neither a torch.nn.Sequential nor has it score_layers"
        ):
            gradient_penalty(lambda x: x.sum((1, 2, 3)), self.POINTS, method="explicit")

    def test_points_that_require_a_gradient(self):
        with pytest.raises(ValueError, match=r"points: expected images that do not require a gradient"):
            explicit_gradient(nn.Sequential(nn.Conv2d(3, 1, 3)), self.POINTS.clone().requires_grad_())
        points = self.POINTS.clone().requires_grad_()
        gradient_penalty(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 1, 3)), points).backward()
        assert points.grad is not None  # "auto" took autograd

    def test_points_of_another_shape(self):
        critic = nn.Sequential(nn.Conv2d(3, 1, 5))
        with pytest.raises(ValueError, match=r"points: expected .* \(B, 3, H, W\), got .* \(1, 1, 8, 8\)"):
            explicit_gradient(critic, self.POINTS[:, :1])
        with pytest.raises(ValueError, match=r"points: expected images large enough for layer 0"):
            explicit_gradient(critic, self.POINTS[..., :4])
        with pytest.raises(TypeError, match=r"points: expected a float32 tensor"):
            explicit_gradient(critic, self.POINTS.double())


def test_autocast_forms_the_gradient_in_the_lower_precision():
    torch.manual_seed(0)
    critic = PatchCritic(base_channels=4, num_layers=3)
    points = images(dtype=torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        gradient = explicit_gradient(critic, points)
        value = gradient_penalty(critic, points, method="explicit")
    assert gradient.dtype == torch.bfloat16
    assert value.dtype == torch.float32
    torch.testing.assert_close(value, gradient_penalty(critic, points), rtol=0.05, atol=0.05)
    value.backward()
    assert critic.score.weight.grad.dtype == torch.float32


def test_sees_through_data_parallelism(tmp_path):
    critic = PatchCritic(base_channels=4, num_layers=2)
    points = images(dtype=torch.float32)
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    try:
        wrapped = nn.parallel.DistributedDataParallel(critic)
        assert torch.equal(explicit_gradient(wrapped, points), explicit_gradient(critic, points))
    finally:
        torch.distributed.destroy_process_group()


def test_sees_through_compilation():
    critic = PatchCritic(base_channels=4, num_layers=2)
    assert why_not_explicit(torch.compile(critic)) is None
    assert why_not_explicit(torch.compile(nn.Sequential(nn.Conv2d(3, 1, 3)))) is None


def test_compiles_into_one_graph():
    torch.manual_seed(0)
    critic = PatchCritic(base_channels=4, num_layers=2)
    points = images(dtype=torch.float32)
    step = torch.compile(partial(gradient_penalty, critic), backend="aot_eager", fullgraph=True)
    value = step(points)
    value.backward()
    grads = [p.grad.clone() for p in critic.parameters()]
    critic.zero_grad()
    expected = gradient_penalty(critic, points, method="autograd")
    expected.backward()
    torch.testing.assert_close(value, expected)
    for compiled, parameter in zip(grads, critic.parameters(), strict=True):
        torch.testing.assert_close(compiled, parameter.grad)


class Residual(nn.Sequential):
    def forward(self, value):
        return value + super().forward(value)


class Tripled(nn.Identity):
    def forward(self, value):
        return 3 * value


def chain(*between):
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.LeakyReLU(0.2), *between, nn.Conv2d(8, 1, 3))


def hooked(layer):
    layer.register_forward_hook(lambda module, inputs, output: 2 * output)
    return layer


def replaced():
    layer = nn.ReLU()
    layer.forward = lambda value: value.square()
    return layer


@pytest.mark.parametrize(
    ("critic", "why"),
    [
        (
            chain(Residual(nn.Conv2d(8, 8, 3, padding=1))),
            "layer 2 is a Residual: it overrides the forward of Seq",
        ),
        (chain(Tripled()), "layer 2 is a Tripled: it overrides the forward of Identity"),
        (chain(hooked(nn.Identity())), "layer 2 is a Identity: it has hooks"),
        (chain(hooked(nn.Sequential(nn.ReLU()))), "layer 2 is a Sequential: it has hooks"),
        (chain(replaced()), "layer 2 is a ReLU: it overrides the forward of ReLU"),
        (
            Residual(nn.Conv2d(3, 3, 3, padding=1), nn.Conv2d(3, 3, 1)),
            "Residual overrides the forward of Sequential",
        ),
    ],
    ids=["residual", "identity", "hooked_identity", "hooked_sequential", "replaced_forward", "whole_critic"],
)
def test_containers_that_do_more_are_left_to_autograd(critic, why):
    assert (why_not_explicit(critic) or "").startswith(why)
    if isinstance(critic, Residual):
        return  # its scores are no patch map
    points = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    exact = gradient_penalty(critic, points, method="autograd")
    torch.testing.assert_close(gradient_penalty(critic, points), exact)
    with pytest.raises(ValueError, match="cannot be written explicitly"):
        gradient_penalty(critic, points, method="explicit")


def test_a_hook_on_a_patch_critics_features_counts():
    critic = PatchCritic(base_channels=4, num_layers=2)
    assert why_not_explicit(critic) is None
    hooked(critic.features)
    assert "has hooks" in why_not_explicit(critic)
