"""The label stage on the CPU, a step a file; twins of the same name in cuda/."""
