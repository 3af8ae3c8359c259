"""Every accepted record's score in one Parquet file, whole or not at all."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.records import key_columns
from pipeline.whole_file import whole

Write = Callable[[pa.Table, np.ndarray, np.ndarray], None]


@contextmanager
def scores_writer(path: Path | None, primary_key: Sequence[str], sensitive: Collection[str] = ()) -> Iterator[Write]:
    """A function that appends a batch's key columns, score and p_value to `path`; nothing is written without a path.

    Keys of `sensitive` columns are hashed. The file appears under its name when the block ends well. Raises
    FailedMachinery when it cannot be written.
    """
    if path is None:
        yield lambda accepted, score, p_value: None
        return
    with whole(path) as partial, ExitStack() as open_file:
        writer: list[pq.ParquetWriter] = []

        def write(accepted: pa.Table, score: np.ndarray, p_value: np.ndarray) -> None:
            table = key_columns(accepted, primary_key, sensitive).append_column("score", pa.array(score))
            table = table.append_column("p_value", pa.array(p_value))
            if not writer:
                writer.append(open_file.enter_context(pq.ParquetWriter(partial, table.schema)))
            writer[0].write_table(table)

        yield write
