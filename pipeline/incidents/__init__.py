"""Flagged and quarantined records → incidents: what one person looks at, and is told of, once. Pure.

Records that are wrong in the same columns and share a segment become one incident, what is left stays a single;
a partition with far more flags than chance brings is an incident itself. Nothing depends on the order of records.
"""

from pipeline.incidents.continuing import Earlier, Suppressing
from pipeline.incidents.incidents import Found, Night, find
from pipeline.incidents.words import conditions_in_words

__all__ = ["Earlier", "Found", "Night", "Suppressing", "conditions_in_words", "find"]
