"""The plugin that shows the dashboard inside Airflow: in its navigation, and beside each DAG and each of its runs.

It adds no route to Airflow's server and proxies nothing: Airflow, behind its own login, draws a frame whose address is
the dashboard's. Nothing but links is made here, so that loading it costs every component of Airflow nothing.
"""

from __future__ import annotations

from airflow.plugins_manager import AirflowPlugin

from pipeline.settings import Settings

VIEWS = {
    "nav": ("tablewatch", "/", "tablewatch"),
    "dag": ("tablewatch", "/?dag={DAG_ID}", "tablewatch_dag"),
    "dag_run": ("tablewatch", "/?dag={DAG_ID}&dag_run={RUN_ID}", "tablewatch_run"),
}
"""By destination: what the link is called, where it leads on the dashboard, its part of Airflow's own address.

Airflow fills in what is in braces, and shows a view beside the runs of every DAG: it cannot be told of which.
"""


def views(dashboard: str | None) -> list[dict[str, str]]:
    """Airflow's external views of the dashboard at that URL; none where there is no URL."""
    if not dashboard:
        return []
    base = dashboard.rstrip("/")
    return [
        {"name": name, "href": base + path, "destination": destination, "url_route": route}
        for destination, (name, path, route) in VIEWS.items()
    ]


class DashboardPlugin(AirflowPlugin):
    """Links only: it has no app, no middleware and no blueprint of its own."""

    name = "tablewatch_dashboard"
    external_views = views(Settings().dashboard_url)
