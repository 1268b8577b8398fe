# The orchestrator. To speak with the Docker engine it needs the engine's socket mounted, and with it
# has the powers of root on that machine, so it does not pretend to run as somebody less.
ARG BASE_IMAGE=python:3.12.13-slim-trixie@sha256:229a2c5bfa27522db7815ea81f9bed70af17ccb9de9fc7ad142b1877b5830d36

FROM ${BASE_IMAGE} AS build
ARG PIP_CERT
ARG PIP_INDEX_URL
WORKDIR /src
# First what tmpnb needs, which changes rarely, then tmpnb itself. What is downloaded is what scripts/lock
# has written down, or the build fails.
COPY deploy/build.lock deploy/run.lock deploy/
RUN python3 -m venv /tmp/pip \
 && python3 -m venv --without-pip /opt/tmpnb \
 && /tmp/pip/bin/pip install --no-cache-dir --require-hashes --only-binary=:all: -r deploy/build.lock \
 && /tmp/pip/bin/pip --python /opt/tmpnb/bin/python install --no-cache-dir --require-hashes \
        --only-binary=:all: --no-deps -r deploy/run.lock
COPY pyproject.toml setup.py README.md LICENSE ./
COPY tmpnb tmpnb
RUN /tmp/pip/bin/pip wheel --no-cache-dir --no-build-isolation --no-deps --wheel-dir dist . \
 && /tmp/pip/bin/pip --python /opt/tmpnb/bin/python install --no-cache-dir --no-deps dist/*.whl

FROM ${BASE_IMAGE}
COPY --from=build /opt/tmpnb /opt/tmpnb
ENV PATH=/opt/tmpnb/bin:$PATH PYTHONUNBUFFERED=1 LANG=C.UTF-8
WORKDIR /srv/tmpnb
EXPOSE 9999
ENTRYPOINT ["tmpnb"]
