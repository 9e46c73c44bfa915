"""``python -m aucond.data.convert SOURCE DESTINATION``: any known layout to an image folder with metadata.csv."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Sequence

from aucond.conditions import OPENFACE_AUS
from aucond.data.conversion import convert_to_folder

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; broken data ends it with status 1 and the list of what is wrong."""
    parser = argparse.ArgumentParser(
        prog="python -m aucond.data.convert",
        description="Convert the published GANimation layout, or images with OpenFace 2.x CSV files, "
        "to an image folder with metadata.csv (normalised action units).",
    )
    parser.add_argument("source", help="folder with imgs/ and aus_openface.pkl, or with OpenFace CSV files")
    parser.add_argument("destination", help="folder to make")
    parser.add_argument("--size", type=int, help="cut and resample every image to SIZE x SIZE pixels")
    parser.add_argument(
        "--components",
        nargs="+",
        metavar="AU",
        help="action units to write, such as AU01 AU12 (default: all 17)",
    )
    parser.add_argument(
        "--on-error",
        choices=("raise", "skip"),
        default="raise",
        help="stop at broken entries, or leave them out",
    )
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    try:
        space = OPENFACE_AUS if options.components is None else OPENFACE_AUS.subset(options.components)
        convert_to_folder(
            options.source, options.destination, space, size=options.size, on_error=options.on_error
        )
    except (ValueError, OSError) as error:
        parser.exit(1, f"{parser.prog}: {error}\n")


if __name__ == "__main__":
    main()
