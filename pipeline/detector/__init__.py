"""The detector: fit, score, explain; saves to and loads from plain numbers."""

from pipeline.detector.detector import Detector, Scores
from pipeline.detector.reasons import explain

__all__ = ["Detector", "Scores", "explain"]
