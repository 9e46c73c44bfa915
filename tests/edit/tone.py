"""A sound file of any kind: a tone of 440 Hz."""

from fractions import Fraction

import numpy as np

KINDS = {"aac": "fltp", "nellymoser": "flt", "pcm_s24le": "s32", "pcm_s8": "u8", "wavpack": "s16p"}


def write_tone(path, seconds, codec="aac", rate=16000):
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate)
        stream.layout = "mono"
        stream.codec_context.format = kind = KINDS.get(codec, "s16")
        convert = av.AudioResampler(format=kind, layout="mono", rate=rate)
        for start in range(0, int(seconds * rate), 1024):
            wave = 0.3 * np.sin(2 * np.pi * 440 * np.arange(start, start + 1024) / rate)
            sound = av.AudioFrame.from_ndarray(wave.astype(np.float32)[None], format="flt", layout="mono")
            sound.sample_rate, sound.pts, sound.time_base = rate, start, Fraction(1, rate)
            for converted in convert.resample(sound):
                container.mux(stream.encode(converted))
        container.mux(stream.encode())
    return path
