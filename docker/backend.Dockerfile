# The web process, the publisher, workers in front of a model server, vrthinker export and report: no torch, no GPU.
FROM python:3.11-slim
RUN pip install --no-cache-dir uv && useradd --create-home --uid 1000 vrthinker && install -d -o vrthinker /data /data/ledger /data/media /data/exports
WORKDIR /app
COPY requirements requirements
COPY pyproject.toml setup.py README.md ./
COPY label_config label_config
COPY backend backend
RUN uv pip install --system --no-cache --override requirements/overrides.txt --constraint requirements/lock.txt ".[postgres,openai,export]"
USER vrthinker
WORKDIR /data
CMD ["vrthinker", "web"]
