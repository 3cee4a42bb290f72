"""Speech + text -> one TASTE vector, then Q codes, for each text token or word."""
