"""``python -m fastnn``: the ``fastnn`` command where no script is installed."""

from fastnn.cli import main

if __name__ == "__main__":
    main()
