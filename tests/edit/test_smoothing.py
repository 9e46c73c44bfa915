"""Smoothing over time: whole sequences, streams, and gaps."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from aucond.edit.flicker import temporal_flicker
from aucond.edit.smoothing import bridge_gaps, smooth_conditions, smooth_stream

pytest.importorskip("scipy", reason='needs scipy: pip install "aucond[video]"')


def stream(values, **options):
    return [value for _, value in smooth_stream(((i, v) for i, v in enumerate(values)), **options)]


def test_known_answers():
    # The five-point quadratic of Savitzky and Golay's Table I: (-3, 12, 17, 12, -3) / 35.
    spike = torch.zeros(9, dtype=torch.float64)
    spike[4] = 35.0
    smoothed = smooth_conditions(spike, window=5, order=2)
    assert torch.allclose(smoothed[2:7], torch.tensor([-3.0, 12, 17, 12, -3], dtype=torch.float64))
    # Order 0 is the moving average.
    assert smooth_conditions(torch.tensor([0.0, 3.0, 0.0]), window=3, order=0)[1] == pytest.approx(1.0)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 25), st.sampled_from([1, 3, 5, 11]), st.integers(0, 2), st.integers(0, 10**6))
def test_a_stream_gives_what_the_whole_sequence_gives(length, window, order, seed):
    if window > 1 and window <= order:
        window = 3
    values = torch.rand(length, 2, 3, generator=torch.Generator().manual_seed(seed))
    whole = smooth_conditions(values, window=window, order=order)
    assert torch.allclose(torch.stack(stream(values, window=window, order=order)), whole, atol=1e-6)


def test_polynomials_pass_and_noise_does_not():
    time = torch.linspace(-1, 1, 41, dtype=torch.float64)
    motion = 0.2 + 0.5 * time - 0.3 * time.square()
    assert torch.allclose(smooth_conditions(motion, window=11), motion)
    noise = torch.randn(4000, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    left = smooth_conditions(noise, window=11)
    assert left.std() < 0.5 * noise.std()  # in theory sqrt(0.207) = 0.456
    assert left.diff().abs().mean() < 0.25 * noise.diff().abs().mean()


def test_dtype_and_input_are_kept():
    values = torch.rand(12, 4)
    before = values.clone()
    smoothed = smooth_conditions(values)
    assert smoothed.dtype == torch.float32 and smoothed.shape == values.shape and torch.equal(values, before)
    unchanged = smooth_conditions(values, window=1)
    assert torch.equal(unchanged, values) and unchanged.data_ptr() != values.data_ptr()


def test_the_stream_holds_half_a_window_and_no_more():
    asked = []

    def endless():
        for i in range(10**9):
            asked.append(i)
            yield i, torch.tensor(float(i))

    smoothed = smooth_stream(endless(), window=7)
    for i in range(50):
        item, value = next(smoothed)
        assert item == i and value == pytest.approx(i, abs=1e-4)
        assert len(asked) <= i + 7


def test_runs_between_missing_values_are_smoothed_apart():
    values = [torch.tensor(0.0)] * 6 + [None] + [torch.tensor(1.0)] * 6
    smoothed = stream(values, window=5)
    assert smoothed[6] is None
    assert [round(float(v), 6) for v in smoothed[:6] + smoothed[7:]] == [0.0] * 6 + [1.0] * 6


@pytest.mark.parametrize(
    "longest, values, expected",
    [
        (2, [0, None, None, 3], [0, 1, 2, 3]),
        (1, [0, None, None, 3], [0, None, None, 3]),
        (2, [None, 5, None], [5, 5, 5]),
        (1, [None, None, 5, None, None], [None, None, 5, None, None]),
        (3, [None, None], [None, None]),
        (0, [1, None, 2], [1, None, 2]),
        (1, [1, None, None, None, 2, None, 4], [1, None, None, None, 2, 3, 4]),
        (2, [], []),
    ],
)
def test_gaps(longest, values, expected):
    items = [(i, None if v is None else torch.tensor(float(v))) for i, v in enumerate(values)]
    result = list(bridge_gaps(items, longest=longest))
    assert [i for i, _ in result] == list(range(len(values)))
    assert [None if v is None else float(v) for _, v in result] == expected


@pytest.mark.parametrize(
    "call, exception, message",
    [
        (lambda: smooth_conditions([1.0]), TypeError, r"values: expected a floating tensor .* got a list"),
        (lambda: smooth_conditions(torch.tensor([1, 2])), TypeError, r"values: .* got a int64|an int64"),
        (lambda: smooth_conditions(torch.zeros(0, 3)), ValueError, r"at least one row.*\(0, 3\)"),
        (lambda: smooth_conditions(torch.tensor(1.0)), ValueError, r"at least one row"),
        (
            lambda: smooth_conditions(torch.tensor([1.0, float("nan")])),
            ValueError,
            r"values: expected finite",
        ),
        (
            lambda: smooth_conditions(torch.zeros(9), window=4),
            ValueError,
            r"window: expected an odd number .* got 4",
        ),
        (
            lambda: smooth_conditions(torch.zeros(9), window=3, order=3),
            ValueError,
            r"above the order 3, got 3",
        ),
        (lambda: smooth_conditions(torch.zeros(9), window=0), ValueError, r"window: .* at least 1, got 0"),
        (lambda: smooth_conditions(torch.zeros(9), window=5.0), TypeError, r"window: expected an integer"),
        (lambda: smooth_conditions(torch.zeros(9), order=-1), ValueError, r"order: .* at least 0, got -1"),
        (lambda: smooth_stream([], window=2), ValueError, r"window: expected an odd"),
        (lambda: bridge_gaps([], longest=-1), ValueError, r"longest: .* at least 0, got -1"),
    ],
)
def test_wrong_calls(call, exception, message):
    with pytest.raises(exception, match=message):
        call()


def test_flicker_by_hand():
    def frame(value):
        return torch.full((3, 2, 2), value)

    # The change is 1, 0; the true change 0.5, 0.5: the mean of |0.5| and |-0.5|.
    video = [frame(v) for v in (-1.0, 0.0, 0.0)]
    truth = [frame(v) for v in (0.0, 0.5, 1.0)]
    assert temporal_flicker(iter(video), iter(truth)) == pytest.approx(0.5)
    assert temporal_flicker(video, video) == 0.0


@pytest.mark.parametrize(
    "frames, truth, message",
    [
        ([], [], "at least two frames"),
        ([torch.zeros(3, 4, 4)], [torch.zeros(3, 4, 4)], "at least two frames"),
        ([torch.zeros(3, 4, 4)] * 2, [torch.zeros(3, 4, 4)] * 3, "frames: .* only 2 frames in this one"),
        ([torch.zeros(3, 4, 4)] * 3, [torch.zeros(3, 4, 4)] * 2, "true_frames: .* only 2 frames"),
        ([torch.zeros(3, 4, 4)] * 2, [torch.zeros(3, 4, 5)] * 2, r"true_frames\[0\]: expected the shape"),
        (
            [torch.zeros(3, 4, 4), torch.zeros(3, 5, 5)],
            [torch.zeros(3, 4, 4), torch.zeros(3, 5, 5)],
            r"frames\[1\]",
        ),
        ([torch.zeros(1, 4, 4)] * 2, [torch.zeros(1, 4, 4)] * 2, r"frames\[0\]: .*\(3, H, W\)"),
    ],
)
def test_wrong_flicker_calls(frames, truth, message):
    with pytest.raises(ValueError, match=message):
        temporal_flicker(frames, truth)
