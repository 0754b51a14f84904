"""`python -m airfast`, and what `torchrun -m airfast` starts."""

from airfast.cli.app import main

if __name__ == "__main__":
    main()
