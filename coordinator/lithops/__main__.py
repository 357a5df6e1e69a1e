"""`python -m lithops` is the command `lithops`."""

from lithops.cli.main import main

if __name__ == "__main__":
    main()
