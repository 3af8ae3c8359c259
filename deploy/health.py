"""Whether a component of Airflow is healthy as Airflow itself sees it, by the API server: `python health.py scheduler`.

Airflow's own `airflow jobs check` says the same and loads all of Airflow first, some ten seconds of CPU each time.
"""

from __future__ import annotations

import json
import os
import sys
from urllib.request import urlopen


def main(component: str) -> int:
    """0 if the component's heart beats, else 1."""
    url = os.environ["AIRFLOW_HEALTH_URL"]
    with urlopen(url, timeout=5) as answer:  # noqa: S310 (an address of docker-compose.yml)
        status = json.load(answer)[component]["status"]
    print(f"{component} is {status}")
    return 0 if status == "healthy" else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
