# cachedoctor as an image: docker build -t cachedoctor . && docker run --rm -i cachedoctor check - < manifest.json
ARG PYTHON=3.13.7-slim-bookworm

FROM python:${PYTHON} AS build
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY cachedoctor cachedoctor
RUN python -m venv /opt/cachedoctor && /opt/cachedoctor/bin/pip install --no-cache-dir .

FROM python:${PYTHON}
COPY --from=build /opt/cachedoctor /opt/cachedoctor
ENV PATH=/opt/cachedoctor/bin:$PATH
USER 10001:10001
WORKDIR /work
ENTRYPOINT ["cachedoctor"]
CMD ["--help"]
