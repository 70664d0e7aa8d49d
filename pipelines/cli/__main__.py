"""``python -m pipelines.cli`` is the command ``compressor``."""

from pipelines.cli.console_script import main

if __name__ == "__main__":
    main()
