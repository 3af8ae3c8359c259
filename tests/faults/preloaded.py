"""What the parent of processes imports to have Great Expectations loaded as tablewatch loads it: without Spark."""

from pipeline.validation.engine import expectation_names

expectation_names()
