# The GPU worker. torch's own wheels carry the CUDA libraries; the host needs the NVIDIA driver and container toolkit.
FROM python:3.11-slim
RUN pip install --no-cache-dir uv && useradd --create-home --uid 1000 vrthinker && install -d -o vrthinker /data /data/weights /data/media
WORKDIR /app
COPY requirements requirements
RUN pip install --no-cache-dir -r requirements/torch.txt
COPY pyproject.toml setup.py README.md ./
COPY label_config label_config
COPY backend backend
RUN uv pip install --system --no-cache --override requirements/overrides.txt --constraint requirements/lock.txt ".[gpu,openai]"
USER vrthinker
WORKDIR /data
CMD ["vrthinker", "worker"]
