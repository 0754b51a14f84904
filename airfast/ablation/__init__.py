"""The paper's tables and figures as rows of many runs."""
