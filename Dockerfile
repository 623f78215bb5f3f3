# The server without its embedded parts' data: give it STRATIGRAPH_DATABASE_URL and a catalog, or a volume on /data.
FROM python:3.12-slim-bookworm AS build
WORKDIR /src
# For compiling what copies Parquet pages (docs/decisions/0026): Python's headers are in the image, a compiler is not.
RUN apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev && rm -rf /var/lib/apt/lists/*
RUN pip install --no-cache-dir uv==0.13.9
COPY pyproject.toml uv.lock README.md hatch_build.py ./
ENV UV_PROJECT_ENVIRONMENT=/opt/stratigraph UV_PYTHON_DOWNLOADS=never UV_COMPILE_BYTECODE=1
RUN uv sync --frozen --no-default-groups --no-install-project
COPY app ./app
RUN STRATIGRAPH_COMPILE=1 uv sync --frozen --no-default-groups --no-editable

FROM python:3.12-slim-bookworm
RUN useradd --system --create-home --home-dir /data --uid 10001 stratigraph
COPY --from=build /opt/stratigraph /opt/stratigraph
ENV PATH=/opt/stratigraph/bin:$PATH STRATIGRAPH_HOME=/data STRATIGRAPH_HOST=0.0.0.0
USER 10001
VOLUME /data
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8000/healthz', timeout=2)"]
CMD ["stratigraph", "serve"]
