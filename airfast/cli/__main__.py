"""`python -m airfast.cli`."""

from airfast.cli.app import main

if __name__ == "__main__":
    main()
