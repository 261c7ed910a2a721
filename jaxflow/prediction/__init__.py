"""From a user's files to files of answers, however many, resumable."""
