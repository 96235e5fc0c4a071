"""`python -m kindred` is the command `kindred`."""

from kindred.cli.main import main

if __name__ == "__main__":
    main()
