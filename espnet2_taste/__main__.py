"""``python -m espnet2_taste`` is the command ``espnet2-taste``."""

from espnet2_taste.cli.main import main

if __name__ == "__main__":
    main()
