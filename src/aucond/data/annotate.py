"""``python -m aucond.data.annotate FOLDER``: conditions for a folder of plain photos."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Sequence

from aucond.conditions import ARKIT_BLENDSHAPES, OPENFACE_AUS, ConditionSpace
from aucond.data.annotation import annotate
from aucond.faces.head_blendshapes import head_blendshapes

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; a folder that cannot be annotated ends it with status 1 and the reason."""
    parser = argparse.ArgumentParser(
        prog="python -m aucond.data.annotate",
        description="Find the largest face in every photo of a folder, fit a face model to its landmarks, and write "
        "the conditions to metadata.csv there. Goes on where it stopped; photos without a usable face are listed in "
        "unusable_photos.csv.",
    )
    parser.add_argument("folder", help="folder of photos; folders below count")
    parser.add_argument(
        "--condition",
        choices=("arkit", "openface", "pca"),
        default="arkit",
        help="what to write: 52 ARKit blendshapes, 17 action units, or 30 principal blendshapes (default: arkit)",
    )
    parser.add_argument(
        "--max-error",
        type=float,
        default=0.12,
        metavar="SHARE",
        help="landmark error, as a share of the eyes' distance, above which a fit is refused (default: 0.12)",
    )
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    space: ConditionSpace = OPENFACE_AUS if options.condition == "openface" else ARKIT_BLENDSHAPES
    expression = None
    if options.condition == "pca":
        shapes = head_blendshapes(30)
        space, expression = shapes.space, shapes.expression
    try:
        report = annotate(
            options.folder,
            space,
            expression=expression,
            max_error=options.max_error,
            progress=not options.quiet,
        )
    except (ValueError, OSError, ImportError) as error:
        parser.exit(1, f"{parser.prog}: {error}\n")
    logging.getLogger("aucond.data").info(
        "%s: %d photos with a condition, %d without", report.table, report.annotated, len(report.problems)
    )


if __name__ == "__main__":
    main()
