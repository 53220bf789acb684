"""`python -m trainer`, so that `torchrun -m trainer train ...` works."""

from trainer.cli import main

if __name__ == "__main__":
    main()
