"""Columns to a float32 matrix and back, with a fitted state that is JSON. Pure."""

from pipeline.encoding.cells import Cell
from pipeline.encoding.encoder import EVENTS, Encoded, Encoder, MisreadColumn
from pipeline.encoding.kinds import Inference, infer_kind

__all__ = ["EVENTS", "Cell", "Encoded", "Encoder", "Inference", "MisreadColumn", "infer_kind"]
