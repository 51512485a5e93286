"""pandas: a query of PostgreSQL through SQLAlchemy in chunks, each appended to a CSV file."""

from pathlib import Path

import pandas as pd
import sqlalchemy as sa

from benchmarks.speed.stopwatch import job, measured


def main() -> None:
    """Read and write chunk by chunk."""
    what = job()
    engine = sa.create_engine(what["url"].replace("postgresql://", "postgresql+psycopg2://"))
    with measured(what):
        with Path(f"{what['out']}.csv").open("w") as file, engine.connect() as connection:
            streaming = connection.execution_options(stream_results=True)
            for number, chunk in enumerate(pd.read_sql_query("select * from rows", streaming, chunksize=50_000)):
                chunk.to_csv(file, index=False, header=number == 0)
        engine.dispose()


if __name__ == "__main__":
    main()
