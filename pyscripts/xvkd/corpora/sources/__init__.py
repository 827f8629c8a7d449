"""Sources of speech, one module each, found by the name that a corpus file gives as `source:`."""
