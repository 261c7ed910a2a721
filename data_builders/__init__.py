"""Data set builders: TFDS in array_record form, without TensorFlow."""
