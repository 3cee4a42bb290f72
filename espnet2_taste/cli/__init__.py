"""The command ``espnet2-taste`` (or ``python -m espnet2_taste``).

One sub-command a thing to do with a trained model, for single files and for lists.
Nothing heavy is imported before the arguments are known to be right.

A folder of tokenized speech, which ``tokenize`` and ``continue`` write and the others
read with ``--codes``:

=============  ======================================================================
``codes.scp``  Codes of each utterance, float32 matrix (words, codebooks) in Kaldi arks
               below ``parts/``; integers, cast them back: ``data.arks.ArkTable``
``words``      ``utt word word ...``: the rows of the codes
``model``      Digest of the codebooks that the codes are of; those of another model
               are refused
``ctm``        ``utt 1 start duration word``, seconds, where words were timed; of
               speech that was made, its words, if the unit decoder knows them
``alignment``  How well text and speech belong together, 0 to 1, then the same of the
               word that suits it least; below .5 a warning was shown, and for words
               that were probably not said
``spembs.scp`` Speaker embedding of each utterance, float32 vector
``wav.scp``    Speech, where some was made, below ``parts/*/audio``
``plots``      Words, codes and attention of each utterance, below ``parts/``, with
               ``tokenize --plot``
``dropped.tsv`` Utterances that could not be used, with the reason
=============  ======================================================================

Paths in the tables begin at the folder, so it can be moved. Folders that others
send are read by ``ArkTable``, which runs no commands and unpickles nothing. A repeated
command does what is missing or was made from other recordings, texts or codes, and
refuses a folder that was made by another model or with other options.

Legend of the folder's modules: W words, Q codebooks, E speaker features, B utterances.
"""
