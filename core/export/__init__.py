"""Export: the files a checkpoint ships as, and the whole way from teacher to phone."""
