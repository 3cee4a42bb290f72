# Where corpora lie: "downloads" stands for ./downloads of the recipe.
# shellcheck shell=bash disable=SC2034
MINI_LIBRISPEECH=downloads
