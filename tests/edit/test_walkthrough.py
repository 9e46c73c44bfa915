"""docs/howto/train_on_your_photos.md on real photos: crop, annotate, train, edit."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from aucond import (
    OPENFACE_AUS,
    AttentionGenerator,
    ConvRegressionHead,
    GANimation,
    PatchCritic,
    Trainer,
    TrainerConfig,
)
from aucond.data import TensorLoader, open_dataset
from aucond.data.annotation import annotate
from aucond.edit import FaceEditor, crop_faces

SAMPLE = Path(__file__).parents[2].parent / "shared" / "data" / "ganimation_sample" / "imgs"


@pytest.mark.skipif(not SAMPLE.is_dir(), reason=f"the sample photos are missing: {SAMPLE}")
def test_from_a_folder_of_photos_to_an_edited_photo(tmp_path):
    pytest.importorskip("dlib", reason='finding faces needs pip install "aucond[detect]"')
    cropped = crop_faces(SAMPLE, tmp_path / "crops", size=128)
    assert len(cropped.crops) >= 3, cropped.problems
    annotated = annotate(tmp_path / "crops", OPENFACE_AUS, progress=False)
    assert annotated.annotated >= 3, annotated.problems

    torch.manual_seed(0)
    generator = AttentionGenerator(OPENFACE_AUS, 8, 2, 1, relative=True, initial_attention=0.1)
    head = partial(ConvRegressionHead, out_features=17, kernel_size=4)
    critic = PatchCritic({"condition": head}, base_channels=8, num_layers=3)
    data = open_dataset(tmp_path / "crops", OPENFACE_AUS, size=32)
    trainer = Trainer(
        GANimation(generator, critic),
        TrainerConfig(steps=5, checkpoint_every=5),
        folder=tmp_path / "run",
        progress=False,
    )
    trainer.fit(TensorLoader(data, batch_size=2))

    FaceEditor(trainer.ema, critic).save_pretrained(tmp_path / "editor")
    editor = FaceEditor.from_pretrained(tmp_path / "editor")
    photo = next(path for path in sorted(SAMPLE.iterdir()) if path.stem == cropped.crops[0].stem)
    edited = editor.edit(photo, {"AU12": 0.9})
    with Image.open(photo) as before:
        assert edited.size == before.size
        assert (np.asarray(edited) != np.asarray(before)).any()
