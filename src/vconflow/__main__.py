"""`python -m vconflow` is the command `vconflow`."""

from vconflow.cli import main

if __name__ == "__main__":
    main(prog_name="vconflow")
