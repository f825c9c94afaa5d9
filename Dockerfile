# syntax=docker/dockerfile:1
# Two images: "service" (the default: the service and what it stands on, nothing that tests it) and "harness" (the
# whole product: the hardening command and the downstream stand-ins). Both run as a user without rights and need no
# writable root file system: docker run --read-only -v audit:/var/lib/signal --env-file deploy/.env signal-service

FROM python:3.11-slim-bookworm AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /venv
WORKDIR /build

FROM build AS build-service
COPY deploy/requirements-service.txt ./
RUN /venv/bin/pip install -r requirements-service.txt \
    && /venv/bin/pip uninstall --yes pip setuptools
COPY service/ /app/
# Compiled here: at run time nothing can be written beside the sources.
RUN /venv/bin/python -m compileall -q /app

FROM build AS build-harness
COPY pyproject.toml hatch_build.py README.md LICENSE ./
COPY service/ ./service/
COPY faults/ ./faults/
COPY scenarios/ ./scenarios/
COPY loadtests/ ./loadtests/
RUN /venv/bin/pip install ".[all]"

FROM python:3.11-slim-bookworm AS base
# Anything that listens below 1024 or owns a file here would need more than this user may.
RUN groupadd --system --gid 10001 signal \
    && useradd --system --uid 10001 --gid signal --home-dir /nonexistent --shell /usr/sbin/nologin signal \
    && install --directory --owner=signal --group=signal --mode=0750 /var/lib/signal
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 10001:10001

FROM base AS harness
COPY --from=build-harness /venv /venv
WORKDIR /tmp
ENTRYPOINT ["hardening"]
CMD ["--help"]

FROM base AS service
COPY --from=build-service /venv /venv
COPY --from=build-service /app /app
COPY deploy/service.json /etc/signal/service.json
WORKDIR /app
ENV SIGNAL_CONFIG_FILE=/etc/signal/service.json
VOLUME /var/lib/signal
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=70s --start-interval=1s --retries=3 \
    CMD ["python", "-m", "signal_service.edge.healthcheck"]
ENTRYPOINT ["python", "-m", "signal_service"]
CMD ["serve"]
