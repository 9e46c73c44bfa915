import shutil

import pytest
import torch

from aucond import ARKIT_BLENDSHAPES, OPENFACE_AUS, AttentionGenerator, ConditionSpace


def small(condition=5, **options):
    torch.manual_seed(0)
    options = {"base_channels": 4, "num_residual_blocks": 1} | options
    return AttentionGenerator(condition, **options)


def inputs(batch=2, height=16, width=16, dim=5, dtype=torch.float32):
    rng = torch.Generator().manual_seed(1)
    image = torch.rand(batch, 3, height, width, generator=rng) * 2 - 1
    return image.to(dtype), torch.rand(batch, dim, generator=rng).to(dtype)


def test_published_network_has_the_published_number_of_parameters():
    def conv(outputs, inputs, kernel):
        return outputs * inputs * kernel * kernel

    norm = 2  # scale and shift per channel
    by_hand = conv(64, 3 + 17, 7) + norm * 64
    by_hand += conv(128, 64, 4) + norm * 128 + conv(256, 128, 4) + norm * 256
    by_hand += 6 * 2 * (conv(256, 256, 3) + norm * 256)
    by_hand += conv(128, 256, 4) + norm * 128 + conv(64, 128, 4) + norm * 64
    by_hand += conv(3, 64, 7) + conv(1, 64, 7)
    network = AttentionGenerator(OPENFACE_AUS, conditioning="planes", decoder="transposed")
    counted = sum(parameter.numel() for parameter in network.parameters())
    assert counted == by_hand == 8_471_296


KINDS = pytest.mark.parametrize(
    "options",
    [{"conditioning": "film"}, {"conditioning": "planes"}, {"color": "warped"}],
    ids=["film", "planes", "warped"],
)


@pytest.mark.parametrize("conditioning", ["film", "planes"])
@pytest.mark.parametrize(
    "decoder, color", [("resize", "painted"), ("transposed", "painted"), ("resize", "warped")]
)
@pytest.mark.parametrize("batch, height, width", [(1, 16, 16), (3, 20, 36), (2, 4, 8)])
def test_any_size_any_batch(conditioning, decoder, color, batch, height, width):
    generator = small(conditioning=conditioning, decoder=decoder, color=color)
    image, condition = inputs(batch, height, width)
    output = generator(image, condition)
    assert output.image.shape == output.color.shape == (batch, 3, height, width)
    assert output.attention.shape == (batch, 1, height, width)
    assert output.attention.min() >= 0 and output.attention.max() <= 1
    assert output.color.abs().max() <= 1
    torch.testing.assert_close(output.image, output.attention * output.color + (1 - output.attention) * image)


@KINDS
def test_images_of_a_batch_do_not_see_each_other(options):
    generator = small(**options)
    image, condition = inputs(3)
    together = generator(image, condition).image
    apart = torch.cat([generator(image[i : i + 1], condition[i : i + 1]).image for i in range(3)])
    torch.testing.assert_close(together, apart, rtol=1e-4, atol=1e-5)


def test_initial_attention_is_the_mean_of_the_mask_at_the_start():
    image, condition = inputs(4, 32, 32)
    for wanted in (0.05, 0.3):
        generator = small(initial_attention=wanted, base_channels=8)
        got = generator(image, condition).attention.mean().item()
        assert abs(got - wanted) < 0.35 * wanted
    assert small().attention_bias is None


def test_edit_subtracts_only_for_a_relative_network():
    image, target = inputs()
    current = target.flip(0)
    absolute, relative = small(), small(relative=True)
    torch.testing.assert_close(absolute.edit(image, target, current).image, absolute(image, target).image)
    torch.testing.assert_close(
        relative.edit(image, target, current).image, relative(image, target - current).image
    )


def test_bfloat16_and_channels_last_agree_with_float32():
    generator = small(base_channels=8).eval()
    image, condition = inputs(2, 32, 32)
    plain = generator(image, condition).image
    laid_out = generator.to(memory_format=torch.channels_last)
    torch.testing.assert_close(
        laid_out(image.to(memory_format=torch.channels_last), condition).image, plain, rtol=1e-4, atol=1e-4
    )
    rounded = generator.bfloat16()(image.bfloat16(), condition.bfloat16()).image
    assert rounded.dtype == torch.bfloat16
    assert (rounded.float() - plain).abs().mean() < 0.05


@KINDS
def test_compiles_without_graph_breaks(options):
    generator = small(**options)
    image, condition = inputs()
    backend = "inductor" if shutil.which("g++") and options == {"conditioning": "film"} else "aot_eager"
    compiled = torch.compile(generator, fullgraph=True, backend=backend)
    torch.testing.assert_close(
        compiled(image, condition).image, generator(image, condition).image, rtol=1e-4, atol=1e-5
    )


@KINDS
def test_exports_with_free_batch_and_size(options):
    generator = small(**options).eval()
    batch, half_height, half_width = torch.export.Dim("batch"), torch.export.Dim("h"), torch.export.Dim("w")
    shapes = ({0: batch, 2: 4 * half_height, 3: 4 * half_width}, {0: batch})
    exported = torch.export.export(generator, inputs(), dynamic_shapes=shapes)
    image, condition = inputs(3, 24, 40)
    torch.testing.assert_close(
        exported.module()(image, condition).image, generator(image, condition).image, rtol=1e-4, atol=1e-5
    )


@KINDS
def test_onnx_gives_the_same_numbers_in_onnxruntime(options, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime", reason='needs onnxruntime: pip install "aucond[export]"')
    pytest.importorskip("onnxscript", reason='needs onnxscript: pip install "aucond[export]"')
    generator = small(**options).eval()
    file = tmp_path / "generator.onnx"
    batch, height, width = torch.export.Dim("batch"), torch.export.Dim("h"), torch.export.Dim("w")
    torch.onnx.export(
        generator,
        inputs(),
        str(file),
        input_names=["image", "condition"],
        output_names=["edited", "color", "attention"],
        dynamic_shapes=({0: batch, 2: 4 * height, 3: 4 * width}, {0: batch}),
        dynamo=True,
        verbose=False,
    )
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    for shape in ((2, 16, 16), (1, 24, 40)):
        image, condition = inputs(*shape)
        edited, color, attention = session.run(None, {"image": image.numpy(), "condition": condition.numpy()})
        expected = generator(image, condition)
        for got, want in zip((edited, color, attention), expected, strict=True):
            torch.testing.assert_close(torch.from_numpy(got), want.detach(), rtol=1e-3, atol=1e-4)


def test_one_object_changes_the_condition():
    mine = ConditionSpace(["left", "right", "up"])
    for space in (OPENFACE_AUS, ARKIT_BLENDSHAPES, mine):
        generator = small(space)
        assert generator.condition_dim == space.dim
        assert generator(torch.zeros(1, 3, 16, 16), torch.zeros(1, space.dim)).image.shape == (1, 3, 16, 16)


IMAGE, CONDITION = inputs()
WRONG_CALLS = [
    (IMAGE[0], CONDITION, ValueError, r"image: expected .*\(B, 3, H, W\), got .*\(3, 16, 16\)"),
    (IMAGE[:, :1], CONDITION, ValueError, r"image: expected .*\(B, 3, H, W\)"),
    (IMAGE[:0], CONDITION[:0], ValueError, r"image: expected at least one image"),
    (IMAGE.mul(255).to(torch.uint8), CONDITION, TypeError, r"image: expected a floating tensor.*uint8"),
    (IMAGE.numpy(), CONDITION, TypeError, r"image: expected a floating tensor.*ndarray"),
    (IMAGE, CONDITION[:, :4], ValueError, r"condition: expected .*\(B, 5\), got .*\(2, 4\)"),
    (IMAGE, CONDITION[:1], ValueError, r"condition: expected one per image, shape \(2, 5\)"),
    (IMAGE, CONDITION[0], ValueError, r"condition: expected .*\(B, 5\)"),
    (IMAGE, CONDITION.long(), TypeError, r"condition: expected a floating tensor"),
    (IMAGE, [0.0] * 5, TypeError, r"condition: expected a floating tensor .* got a list"),
    (IMAGE.double(), CONDITION, TypeError, r"image: expected a float32 tensor .* got a float64 tensor"),
    (IMAGE, CONDITION.double(), TypeError, r"condition: expected a float32 tensor .* got a float64 tensor"),
    (IMAGE[..., :15], CONDITION, ValueError, r"divisible by 2\*\*num_downsamples = 4, got 16x15"),
]


@pytest.mark.parametrize("image, condition, error, message", WRONG_CALLS)
def test_wrong_calls_say_what_is_wrong(image, condition, error, message):
    with pytest.raises(error, match=message):
        small()(image, condition)


@pytest.mark.parametrize(
    ("target", "current", "error", "message"),
    [
        (
            CONDITION,
            CONDITION[:1],
            ValueError,
            r"current: expected the shape of target, \(2, 5\), got .* \(1, 5\)",
        ),
        (
            CONDITION,
            CONDITION[:, :1],
            ValueError,
            r"current: expected the shape of target, .* got .* \(2, 1\)",
        ),
        (CONDITION[0], CONDITION, ValueError, r"target: expected .* \(B, 5\), got .* \(5,\)"),
        (CONDITION, None, TypeError, r"current: expected a tensor of target's shape \(2, 5\), got None"),
    ],
)
def test_edit_never_broadcasts(target, current, error, message):
    with pytest.raises(error, match=message):
        small(relative=True).edit(IMAGE, target, current)


def test_other_precisions_are_taken_under_autocast_and_by_networks_of_theirs():
    with torch.autocast("cpu", torch.bfloat16):
        assert small()(IMAGE.bfloat16(), CONDITION).image.isfinite().all()
    assert small().double()(IMAGE.double(), CONDITION.double()).image.dtype == torch.float64


WRONG_ARGUMENTS = [
    ({"condition": 0}, ValueError, "condition: expected an integer at least 1, got 0"),
    ({"condition": 2.5}, TypeError, "condition: expected a ConditionSpace or an int, got 2.5"),
    ({"condition": True}, TypeError, "condition: expected a ConditionSpace or an int, got True"),
    ({"base_channels": 0}, ValueError, "base_channels: expected an integer at least 1"),
    ({"base_channels": 8.0}, TypeError, "base_channels: expected an integer"),
    ({"num_downsamples": -1}, ValueError, "num_downsamples: expected an integer at least 0"),
    ({"num_residual_blocks": -1}, ValueError, "num_residual_blocks: expected an integer at least 0"),
    (
        {"conditioning": "FiLM"},
        ValueError,
        "conditioning: expected one of 'film', 'planes'.*did you mean 'film'",
    ),
    ({"decoder": "deconv"}, ValueError, "decoder: expected one of 'resize', 'transposed'"),
    ({"color": "warp"}, ValueError, "color: expected one of 'painted', 'warped'"),
    ({"relative": "yes"}, TypeError, "relative: expected True or False"),
    ({"initial_attention": 1.0}, ValueError, r"initial_attention: expected a number in \(0, 1\)"),
    ({"initial_attention": float("nan")}, ValueError, "initial_attention: expected a finite number"),
]


@pytest.mark.parametrize("arguments, error, message", WRONG_ARGUMENTS)
def test_wrong_arguments_say_what_is_wrong(arguments, error, message):
    with pytest.raises(error, match=message):
        AttentionGenerator(**({"condition": 5} | arguments))
