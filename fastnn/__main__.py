"""``python -m fastnn``: run the ``fastnn`` command where its script is not installed."""

from fastnn.cli import main

if __name__ == "__main__":
    main()
