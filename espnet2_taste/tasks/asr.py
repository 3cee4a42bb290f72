"""ESPnet's ASR task with a trainer that may be killed at any moment."""

from espnet2.tasks.asr import ASRTask

from espnet2_taste.tasks.abs_task import PlainTables


class AsrTask(PlainTables, ASRTask):
    """Trains the recognizer whose encoder TASTE reads."""
