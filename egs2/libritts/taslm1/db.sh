# Where corpora lie: folders with the parts of each (train-clean-100/...).
# shellcheck shell=bash disable=SC2034
LIBRITTS=
LIBRISPEECH=
