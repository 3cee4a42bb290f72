"""Upload packed models to the Hugging Face hub (stage 15).

Enters: an archive that ``bin/pack.py`` made, and the name of a repository. Leaves: the
repository with the unpacked files, its model card as README.md, and a tag; anyone then
loads it with ``from_pretrained("user/name")``. The token is that of ``hf auth login``
or of the variable HF_TOKEN.
"""

import argparse
import sys
from pathlib import Path

_EXAMPLE = """example:
  python -m espnet2_taste.bin.upload_hf --archive exp/packed/taste.zip \\
      --hf_repo user/taste_mini --tag v1
"""


def get_parser() -> argparse.ArgumentParser:
    """Return the parser of this command."""
    parser = argparse.ArgumentParser(
        description="Upload a packed model to the Hugging Face hub",
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--archive", required=True, help="What pack made")
    add("--hf_repo", required=True, help="Repository, user/name; made when absent")
    add("--private", action="store_true", help="If it is made, only you see it")
    add("--tag", action="append", default=[], help="Name of this version, e.g. v1")
    add("--message", default="Upload a packed TASTE model", help="Of the commit")
    return parser


def upload(archive: Path, repo: str, private: bool, tags: list[str], message: str):
    """Unpack an archive and upload its files.

    Args:
        archive: What pack made.
        repo: ``user/name``.
        private: Whether a new repository is private.
        tags: Names of this version.
        message: Of the commit.

    Returns:
        Address of the commit.

    Raises:
        ValueError: It is no archive of pack, or the name is no ``user/name``.
    """
    import shutil
    import tempfile

    from huggingface_hub import HfApi

    from espnet2_taste.inference.packages import check_archive

    if repo.count("/") != 1 or not all(repo.split("/")):
        raise ValueError(f"--hf_repo is '{repo}', expected user/name")
    if not archive.is_file():
        raise ValueError(f"{archive} not found: pack the model first (stage 14)")
    check_archive(archive)
    api = HfApi()
    with tempfile.TemporaryDirectory() as folder:
        shutil.unpack_archive(archive, folder)
        api.create_repo(repo, private=private, exist_ok=True)
        commit = api.upload_folder(
            repo_id=repo, folder_path=folder, commit_message=message
        )
    for tag in tags:
        api.create_tag(repo, tag=tag, exist_ok=True)
    return commit.commit_url


def main(cmd=None) -> None:
    """Run the command."""
    args = get_parser().parse_args(cmd)
    from huggingface_hub.errors import HfHubHTTPError, LocalTokenNotFoundError

    try:
        address = upload(
            Path(args.archive), args.hf_repo, args.private, args.tag, args.message
        )
        print(f"upload_hf: {address}")
    except (ValueError, HfHubHTTPError, LocalTokenNotFoundError) as error:
        sys.exit(f"upload_hf: {error}")


if __name__ == "__main__":
    main()
