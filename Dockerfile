# The image of docker-compose.yml: the library, its ready-made app and Flower. Your actions go into an image made
# FROM this one, or are mounted next to celeryconfig.py.
FROM python:3.12-slim

# A worker must not run user code as root.
RUN useradd --create-home worker
WORKDIR /app

COPY pyproject.toml README.md workflow_state_celery.py ./
COPY workflow_state ./workflow_state
RUN pip install --no-cache-dir . "flower>=2.0" && rm -rf workflow_state workflow_state_celery.py pyproject.toml README.md

# Celery reads it from the working directory.
COPY celeryconfig.py ./

USER worker
CMD ["celery", "-A", "workflow_state.app", "worker", "--loglevel", "INFO"]
