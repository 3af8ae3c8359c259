# One image for every service: Airflow's components, the dashboard, the demo. Its last stage holds no compiler, no uv
# and no cache; the layer of what uv.lock pins is apart from the layer of this project, which is small.

FROM python:3.11-slim-bookworm AS dependencies
# Company networks re-sign traffic with certificates that only the system knows.
ENV UV_SYSTEM_CERTS=true \
    UV_PYTHON_DOWNLOADS=never \
    UV_PROJECT_ENVIRONMENT=/opt/tablewatch/venv \
    UV_COMPILE_BYTECODE=1 \
    UV_LINK_MODE=copy
RUN pip install --no-cache-dir uv==0.13.9
WORKDIR /src
COPY pyproject.toml uv.lock ./
RUN uv sync --frozen --no-cache --no-dev --group demo --extra celery --no-install-project

FROM dependencies AS project
COPY README.md ./
COPY pipeline pipeline
COPY models models
COPY dashboard dashboard
RUN uv build --wheel --out-dir /wheel --no-cache

FROM python:3.11-slim-bookworm
RUN useradd --system --uid 10001 --user-group --home-dir /tmp --shell /usr/sbin/nologin tablewatch \
 && install -d -o tablewatch -g tablewatch /var/lib/tablewatch /var/log/airflow
COPY --from=dependencies /opt/tablewatch/venv /opt/tablewatch/venv
COPY --from=project /wheel /tmp/wheel
# A package, not only a path: Airflow finds the plugins by their entry points.
RUN pip --python /opt/tablewatch/venv/bin/python install --no-cache-dir --no-deps --no-index --compile /tmp/wheel/*.whl \
 && rm -r /tmp/wheel
COPY demo /opt/tablewatch/demo
COPY deploy/health.py /opt/tablewatch/health.py
COPY dags /opt/tablewatch/dags
ENV PATH=/opt/tablewatch/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    HOME=/tmp \
    TABLEWATCH_HOME=/var/lib/tablewatch \
    TABLEWATCH_MONITORS=/opt/tablewatch/monitors \
    AIRFLOW_HOME=/tmp/airflow
USER tablewatch
WORKDIR /opt/tablewatch
CMD ["tablewatch", "--help"]
