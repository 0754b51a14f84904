"""The label stage on a CUDA device, a step a file; twins of the same name in cpu/."""
