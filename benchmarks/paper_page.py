"""The results of ``paper_tables.py`` as a page of the documentation, beside the papers' figures."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from paper_data import CLASSES, DETECTOR_CORRELATION, FIT_NOISE
from paper_files import write_text
from paper_findings import PRESET_REASONS, findings, goals, mean
from paper_published import NAMES, PUBLISHED

MAIN = ("ganimation", "ganimation_detector", "slidergan_wgp", "slidergan_rad")
ABLATION = ("slidergan_rad", "slidergan_rad_without_pairs", "slidergan_rad_without_identity")


def write_page(reports: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Write the page for some reports; see :func:`page`."""
    write_text(path, page(reports))


def page(reports: Sequence[Mapping[str, Any]]) -> str:
    """The page as markdown.

    Args:
        reports: What ``paper_tables.py`` wrote of each preset, the shortest first. The longest that ran most systems is
            shown in full, the others in short.
    """
    report = max(reversed(reports), key=lambda found: len(found["runs"]))
    runs, explains = report["runs"], report["annotation_explains"]
    others = [other for other in reports if other is not report]
    parts = [
        "# Results",
        "The tables of the SliderGAN paper (Ververas & Zafeiriou, IJCV 2020), recomputed on rendered faces whose "
        "truth is known. This page is written by `benchmarks/paper_tables.py`; the numbers behind it are in "
        f"`benchmarks/results/paper_tables_{report['preset']}.json`. `--page-only` writes the page anew from them.",
        command(report),
        described(report),
        "The papers' figures are from photographs, other networks and days on a GPU: compare the order of the systems "
        "and the ratios, not the sizes.",
        "## What is compared",
        "All systems see the same pictures and train for as many steps with networks of one size; the annotation, "
        "the losses, the use of exact pairs and the noise that GANimation's critic sees differ. The faces move in 43 "
        "ARKit units; an ideal coder's "
        f"17 action units reproduce {explains['action_units']:.1%} of their squared deformation (expressions and "
        f"speech), SliderGAN's 30 + 10 blendshape parameters {explains['blendshapes']:.1%}. As in the paper, these are "
        "what a regularised fit to a face's 68 landmarks finds without knowing the person. The landmarks are exact; "
        f"the fit expects errors of {FIT_NOISE:.0%} of the inter-ocular distance; what no landmark shows stays near 0. "
        "An edit goes from the fit of its source to the fit of its true picture.",
        "*AUs as a detector reads them*: noise brings the correlation of each unit with the truth to "
        f"{DETECTOR_CORRELATION:.2f}, our assumption about a good detector "
        f"(reached here: {report['detector_correlation']:.2f}).",
        "IED is the image Euclidean distance, a distance of pictures that forgives small shifts. SliderGAN-RaD has the "
        "relativistic average critic, SliderGAN-WGP that of WGAN-GP. *Doing nothing* returns the source: above 1.00 of "
        "it, an edit is worse than none.",
        "## Table 1: distance from the truth",
        "Squared IED per pixel between edit and truth, images in [-1, 1]; lower is better. The ratio is to "
        "GANimation with a detector's AUs, as in the paper.",
        image_table(runs, report["references"], "ied"),
        "## Table 3: speech",
        "One silent picture to every frame of a smooth speech sequence; IED as above.",
        image_table(runs, report["references"], "ied_speech"),
        "## Table 2: seven expressions",
        "How often a classifier, trained on true pictures of other people, recognises the expression asked for.",
        recognition_table(runs, report["references"]),
        "## Table 4: the critic's reading",
        "Relative errors $\\lVert p - y\\rVert / \\lVert y\\rVert$ of what the system's own critic reads: from "
        "held-out pictures against their annotation, and from edits against the target. A critic that was trained with "
        "noise is shown it here too.",
        table(
            ["System", "Regression", "published", "Consistency", "published"],
            [
                [
                    NAMES[s],
                    spread(runs[s], "regression_error"),
                    known(s, "regression_error"),
                    spread(runs[s], "consistency"),
                    known(s, "consistency"),
                ]
                for s in MAIN
                if s in runs
            ],
        ),
        how_exactly(report),
        "## Ablation",
        "SliderGAN Section 4.7 shows pictures; here are figures.",
        table(
            [
                "System",
                "IED / 10⁻³",
                "IED, speech / 10⁻³",
                "Recognition",
                "Identity cosine",
                "Mean of the mask",
            ],
            [
                [
                    NAMES[s],
                    spread(runs[s], "ied", 1e-3, 2),
                    spread(runs[s], "ied_speech", 1e-3, 2),
                    spread(runs[s], "accuracy"),
                    spread(runs[s], "identity_cosine"),
                    spread(runs[s], "attention_mean"),
                ]
                for s in ABLATION
                if s in runs
            ],
        ),
        findings(report),
        *(in_short(other) for other in others),
        "## Goals of the full preset",
        goals(reports),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def command(report: Mapping[str, Any]) -> str:
    """How a report was made."""
    systems = "" if len(report["runs"]) == len(NAMES) else f" --systems {' '.join(report['runs'])}"
    return f"```console\n$ python benchmarks/paper_tables.py --preset {report['preset']}{systems}\n```"


def described(report: Mapping[str, Any]) -> str:
    """Sizes, lengths and the machine of a report, in a paragraph."""
    settings = report["settings"]
    seeds = max((len(found) for found in report["runs"].values()), default=0)
    taught = " + ".join(f"{batches:,}" for batches, _ in settings["reading"])
    return (
        f"Preset `{report['preset']}`: {settings['size']}-pixel images; generator of {settings['base_channels']} base "
        f"channels and {settings['residual_blocks']} residual blocks, condition by {settings['conditioning']}, colour "
        f"image {settings['color']}; critic of {settings['critic_channels']} channels that first learns to read from "
        f"{taught} batches; {settings['config']['steps']:,} critic steps of {settings['batch_size']} images; "
        f"{2 * settings['scenes']:,} training pictures of {settings['identities']:,} people; tested on "
        f"{settings['test_scenes']} scenes of other people; {report['device']}, {report['threads']} thread(s), torch "
        f"{report['torch']}. {f'Mean ± standard deviation over {seeds} seeds' if seeds > 1 else 'One seed'}."
    )


def how_exactly(report: Mapping[str, Any]) -> str:
    """How exactly a critic has to see, for the errors of Table 4."""
    moved = {float(share): error for share, error in report["unsettled_by_landmark_error"].items()}
    pixels = ", ".join(f"{share * report['inter_ocular_pixels']:.2f}" for share in moved)
    return (
        f"How exactly a critic has to see: were it to read every landmark with an error of "
        f"{', '.join(f'{share:.1%}' for share in moved)} of the inter-ocular distance ({pixels} pixels of "
        f"{report['settings']['size']}), a fit to what it reads would have a relative error of "
        f"{', '.join(f'{error:.3f}' for error in moved.values())}."
    )


def in_short(report: Mapping[str, Any]) -> str:
    """A section with the figures of one more preset."""
    nothing = report["references"]["source"]
    rows = [
        [
            NAMES[system],
            spread(found, "ied", 1e-3, 2),
            f"{mean(found, 'ied') / nothing['ied']:.2f}",
            f"{mean(found, 'ied_speech') / nothing['ied_speech']:.2f}",
            spread(found, "accuracy"),
            spread(found, "regression_error"),
            spread(found, "consistency"),
            spread(found, "identity_cosine"),
            spread(found, "attention_mean"),
        ]
        for system, found in report["runs"].items()
    ]
    head = [
        "System",
        "IED / 10⁻³",
        "of doing nothing",
        "speech, of doing nothing",
        "Recognition",
        "Regression",
    ]
    head += ["Consistency", "Identity cosine", "Mean of the mask"]
    seconds = [result["seconds"] for found in report["runs"].values() for result in found]
    return "\n\n".join(
        [
            f"## Preset `{report['preset']}`",
            command(report),
            described(report),
            table(head, rows),
            how_exactly(report),
            f"Reading and training took {statistics.fmean(seconds) / 60:.0f} minutes a run.",
            PRESET_REASONS.get(report["preset"], ""),
        ]
    )


def image_table(runs: Mapping[str, Any], references: Mapping[str, Any], figure: str) -> str:
    """Table 1 or 3 with the ratio to GANimation."""
    base = mean(runs["ganimation_detector"], figure) if "ganimation_detector" in runs else None
    published = PUBLISHED["ganimation_detector"][figure]
    rows = []
    for system in (s for s in MAIN if s in runs):
        value = mean(runs[system], figure)
        theirs = PUBLISHED.get(system, {}).get(figure)
        rows.append(
            [
                NAMES[system],
                spread(runs[system], figure, 1e-3, 2),
                f"{value / references['source'][figure]:.2f}",
                f"{value / base:.2f}" if base else "",
                f"{theirs / 1e-3:.2f}" if theirs else "-",
                f"{theirs / published:.2f}" if theirs else "-",
            ]
        )
    rows.append(["*doing nothing*", f"{references['source'][figure] / 1e-3:.2f}", "1.00", "", "-", "-"])
    return table(
        [
            "System",
            "IED / 10⁻³",
            "of doing nothing",
            "of GANimation",
            "published / 10⁻³",
            "of GANimation, published",
        ],
        rows,
    )


def recognition_table(runs: Mapping[str, Any], references: Mapping[str, Any]) -> str:
    """Table 2, ours with the published average beside it."""
    rows = [
        [
            NAMES[s],
            *(f"{mean(runs[s], f'accuracy_{c}'):.2f}" for c in CLASSES),
            spread(runs[s], "accuracy"),
            known(s, "accuracy"),
        ]
        for s in MAIN
        if s in runs
    ]
    for name, title in (("truth", "*the truth*"), ("source", "*doing nothing*")):
        found = references[name]
        rows.append(
            [title, *(f"{found[f'accuracy_{c}']:.2f}" for c in CLASSES), f"{found['accuracy']:.3f}", "-"]
        )
    return table(["System", *CLASSES, "average", "published average"], rows)


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def spread(results: Sequence[Mapping[str, float]], figure: str, unit: float = 1.0, digits: int = 3) -> str:
    """Mean and, where there are several, standard deviation over the seeds, in multiples of a unit."""
    values = [result[figure] / unit for result in results]
    deviation = f" ± {statistics.stdev(values):.{digits}f}" if len(values) > 1 else ""
    return f"{statistics.fmean(values):.{digits}f}{deviation}"


def known(system: str, figure: str) -> str:
    """The paper's figure, or a dash."""
    value = PUBLISHED.get(system, {}).get(figure)
    return "-" if value is None else f"{value:.3f}"
