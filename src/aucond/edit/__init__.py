"""Editing with trained models, and pictures of it."""

from aucond.edit.pictures import label_rows, save_gif, save_png, tile
from aucond.edit.sweep import sweep

__all__ = ["label_rows", "save_gif", "save_png", "sweep", "tile"]
