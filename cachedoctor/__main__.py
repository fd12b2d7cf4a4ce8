"""`python -m cachedoctor`, and the command that is installed."""

from __future__ import annotations

from cachedoctor.io import interrupts


def main() -> None:
    """Run the command. Ctrl-C is quiet from here on, before the modules that take time are imported."""
    interrupts.install()
    from cachedoctor.cli.main import main as run

    try:
        run()
    finally:
        interrupts.finish()


if __name__ == "__main__":
    main()
