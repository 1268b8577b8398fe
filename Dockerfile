# The orchestrator. To speak with the Docker engine it needs the engine's socket mounted, and with it
# has the powers of root on that machine, so it does not pretend to run as somebody less.
ARG BASE_IMAGE=python:3.12-slim

FROM ${BASE_IMAGE} AS build
ARG PIP_CERT
ARG PIP_INDEX_URL
WORKDIR /src
RUN python3 -m venv /tmp/pip \
 && python3 -m venv --without-pip /opt/tmpnb \
 && /tmp/pip/bin/pip install --no-cache-dir --upgrade pip
# First what tmpnb needs, which changes rarely, then tmpnb itself.
COPY pyproject.toml setup.py README.md LICENSE ./
COPY tmpnb/__init__.py tmpnb/
RUN /tmp/pip/bin/pip --python /opt/tmpnb/bin/python install --no-cache-dir .
COPY tmpnb tmpnb
RUN /tmp/pip/bin/pip --python /opt/tmpnb/bin/python install --no-cache-dir --no-deps --force-reinstall .

FROM ${BASE_IMAGE}
COPY --from=build /opt/tmpnb /opt/tmpnb
ENV PATH=/opt/tmpnb/bin:$PATH PYTHONUNBUFFERED=1 LANG=C.UTF-8
WORKDIR /srv/tmpnb
EXPOSE 9999
ENTRYPOINT ["tmpnb"]
