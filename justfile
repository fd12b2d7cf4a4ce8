# Everyday commands. `just setup` first; after that `.venv/bin/just` works too, if your system has no just.
# Each recipe is plain shell, so you can also type it by hand.

bin := ".venv/bin"

# List the recipes
[private]
default:
    @{{ quote(just_executable()) }} --list --unsorted

# Create .venv and install everything a developer needs (with uv if you have it)
setup:
    #!/usr/bin/env bash
    set -euo pipefail
    if command -v uv > /dev/null; then
      uv venv --quiet --allow-existing --seed .venv
      uv pip install --quiet --python .venv --constraints constraints.txt --editable . --group dev
    else
      python3 -m venv .venv
      {{ bin }}/pip install --quiet 'pip>=25.1'
      {{ bin }}/pip install --quiet --constraint constraints.txt --editable . --group dev
    fi

# Run every check that is not a test: format, lint, types, imports, generated text
check:
    {{ bin }}/ruff format --check .
    {{ bin }}/ruff check .
    {{ bin }}/mypy
    {{ bin }}/lint-imports --no-logo
    {{ bin }}/python -m tools.generate --check

# Format the code, fix what ruff can fix, and write generated text again
fix:
    {{ bin }}/ruff check --fix .
    {{ bin }}/ruff format .
    {{ bin }}/python -m tools.generate

# Run all tests, or some: just test tests/graph -k loops
test *arguments:
    {{ bin }}/python -m pytest {{ arguments }}

# Run the fast half of the tests
quick *arguments:
    {{ bin }}/python -m pytest -m "not slow" {{ arguments }}

# Fuzz every reader for some seconds each (Linux only)
fuzz seconds="4":
    {{ bin }}/pip install --quiet --only-binary=atheris --constraint constraints.txt --group fuzz
    {{ bin }}/python -m fuzz --quiet all -max_total_time={{ seconds }} -seed=1

# Build the documentation into site/, and fail on a broken link
docs:
    {{ bin }}/mkdocs build --strict

# Time the commands on large caches
bench *arguments:
    {{ bin }}/python -m benchmarks {{ arguments }}

# Measure the coverage of the tests
coverage:
    {{ bin }}/python -m pytest --cov

# Build the packages into dist/, check them, and run the wheel in a new environment
release:
    rm -rf dist
    {{ bin }}/pip install --quiet --constraint constraints.txt --group release
    {{ bin }}/python -m build
    {{ bin }}/twine check --strict dist/*
    python3 -m venv --clear dist/try
    dist/try/bin/pip install --quiet dist/*.whl
    dist/try/bin/cachedoctor analyze --quiet fixtures/manifests/diamond-28.json > /dev/null
    rm -r dist/try

# Write constraints.txt again, with the newest versions of everything (needs uv)
lock:
    #!/usr/bin/env bash
    set -euo pipefail
    versions=$(uv pip compile --quiet --universal --python-version 3.11 --no-emit-index-url --no-annotate --no-header \
      --group dev --group fuzz --group mutation --group release pyproject.toml)
    {
      echo "# The versions that \`just setup\` and CI install. Written by \`just lock\`."
      echo "$versions"
    } > constraints.txt
