"""The path of a record, a file a stage: source, validation, scoring, store."""
