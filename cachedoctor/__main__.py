"""`python -m cachedoctor`."""

from cachedoctor.cli.main import main

main()
