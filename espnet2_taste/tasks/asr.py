"""ESPnet's ASR task with a trainer that may be killed at any moment."""

from espnet2.tasks.asr import ASRTask

from espnet2_taste.tasks.plain_tables import PlainTables
from espnet2_taste.tasks.trainers import WholeFileTrainer


class AsrTask(PlainTables, ASRTask):
    """Trains the recognizer whose encoder TASTE reads."""

    trainer = WholeFileTrainer
