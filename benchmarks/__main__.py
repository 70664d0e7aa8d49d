"""Runs every benchmark."""

from benchmarks import speed

if __name__ == "__main__":
    speed.main()
