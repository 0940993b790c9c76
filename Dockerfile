# One image for all services; docker-compose.yml says which one a container runs.

FROM python:3.11-slim-bookworm AS build
WORKDIR /src
RUN python -m venv /opt/caudal
COPY requirements-runtime.lock .
RUN /opt/caudal/bin/pip install --no-cache-dir --disable-pip-version-check --require-hashes \
        --requirement requirements-runtime.lock
COPY libs libs
COPY services services
COPY cli cli
RUN /opt/caudal/bin/pip install --no-cache-dir --disable-pip-version-check --no-index --no-deps --no-build-isolation \
        ./libs/common ./services/ingest ./services/processor ./services/gateway-api ./cli

FROM python:3.11-slim-bookworm
RUN groupadd --gid 10001 caudal \
    && useradd --uid 10001 --gid caudal --home-dir /data --shell /usr/sbin/nologin caudal \
    && install --directory --owner caudal --group caudal /data
COPY --from=build /opt/caudal /opt/caudal
ENV PATH=/opt/caudal/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    CAUDAL_DATA_DIR=/data \
    CAUDAL_LOG_FORMAT=json \
    CAUDAL_HEALTH_HOST=0.0.0.0 \
    CAUDAL_HEALTH_PORT=9100
USER caudal
WORKDIR /data
VOLUME /data
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=6 \
    CMD ["python", "-m", "caudal.cli.healthcheck"]
CMD ["caudal", "--help"]
